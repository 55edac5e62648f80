package sqllex

// statement reads and classifies a statement's head. rest reads the remainder.
func (p *parser) statement() Kind {
	if p.tok.kind != word {
		return p.query()
	}
	switch name := p.tok.name; name {
	case "select", "values", "table", "with", "insert", "update", "delete", "merge":
		return p.query()
	case "begin", "start", "commit", "end", "abort", "rollback", "savepoint", "release":
		return p.control(name)
	case "set":
		return p.set()
	}
	verb, ok := verbs[p.tok.name]
	if !ok {
		return p.unknown()
	}
	name := p.tok.name
	p.advance()
	p.taint |= verb.taint
	switch name {
	case "explain":
		p.explain()
	case "copy":
		p.copy()
	case "declare":
		p.declare()
	case "create":
		p.create()
	case "reset":
		p.reset()
	case "prepare":
		return p.prepare()
	case "discard":
		p.alone(p.isWord("all"))
	case "vacuum":
		p.alone(true)
	case "cluster":
		p.skip("verbose")
		p.alone(p.isOver())
	case "drop", "alter", "reindex":
		p.definition(name)
	}
	return verb.kind
}

// verbs are the first words of all remaining statements. A zero taint puts the statement on the
// list of statements that leave nothing; a reader, for example create, may add a taint.
var verbs = map[string]struct {
	kind  Kind
	taint Taint
}{
	"explain":  {KindExplain, 0},
	"truncate": {KindTruncate, 0},
	"copy":     {KindCopy, 0},
	"declare":  {KindDeclare, 0},
	"fetch":    {KindFetch, 0},
	"move":     {KindFetch, 0},
	"close":    {KindClose, 0},
	"show":     {KindShow, 0},
	"lock":     {KindLock, 0},
	"notify":   {KindNotify, 0},

	"listen":     {KindListen, Listen},
	"unlisten":   {KindListen, Listen},
	"reset":      {KindSet, 0}, // see reset
	"prepare":    {KindPrepare, 0},
	"execute":    {KindExecute, Prepared},
	"deallocate": {KindDeallocate, Prepared},
	"discard":    {KindDiscard, Discard},
	"call":       {KindCall, Procedure},
	"do":         {KindDo, DoBlock},
	"load":       {KindLoad, Library},

	"create":     {KindDefine, 0}, // see create
	"alter":      {KindDefine, Definition},
	"analyse":    {KindDefine, Definition},
	"analyze":    {KindDefine, Definition},
	"checkpoint": {KindDefine, Definition},
	"cluster":    {KindDefine, Definition},
	"comment":    {KindDefine, Definition},
	"drop":       {KindDefine, Definition},
	"grant":      {KindDefine, Definition},
	"import":     {KindDefine, Definition},
	"reassign":   {KindDefine, Definition},
	"refresh":    {KindDefine, Definition},
	"reindex":    {KindDefine, Definition},
	"revoke":     {KindDefine, Definition},
	"security":   {KindDefine, Definition},
	"vacuum":     {KindDefine, Definition},
}

// alone notes a statement that the server refuses in a transaction block.
func (p *parser) alone(yes bool) { p.effects.Alone = p.effects.Alone || yes }

// control reads statements that begin or end transactions and savepoints. All control statements
// are plain.
func (p *parser) control(name string) Kind {
	p.advance()
	switch name {
	case "savepoint", "release":
		return KindSavepoint
	case "rollback":
		if !p.skip("work") {
			p.skip("transaction")
		}
		if p.isWord("to") {
			return KindSavepoint
		}
	}
	p.effects.EndsScope = true
	p.alone(p.isWord("prepared")) // COMMIT PREPARED, ROLLBACK PREPARED
	return KindControl
}

// prepare reads PREPARE. TRANSACTION may be a statement's name.
func (p *parser) prepare() Kind {
	if p.skip("transaction") && p.tok.kind == text {
		p.effects.EndsScope = true
		return KindControl
	}
	p.taint |= Prepared
	return KindPrepare
}

// explain reads EXPLAIN, and classifies the explained statement as if the server ran the statement.
func (p *parser) explain() {
	if p.isSign('(') {
		p.advance()
		switch {
		case p.isSign('('), p.isWord("select"), p.isWord("values"), p.isWord("table"), p.isWord("with"):
			p.inside() // the parenthesis was the query's
			return
		}
		p.inside()
	} else {
		if !p.skip("analyze") {
			p.skip("analyse")
		}
		p.skip("verbose")
	}
	switch {
	case p.isWord("declare"), p.isWord("create"), p.isWord("refresh"), p.isWord("execute"):
		p.statement()
	default:
		p.query()
	}
}

// declare reads DECLARE name ... CURSOR [{WITH | WITHOUT} HOLD] FOR query.
func (p *parser) declare() {
	if p.isName() {
		p.advance()
	}
	for p.skip("binary") || p.skip("insensitive") || p.skip("asensitive") || p.skip("no") || p.skip("scroll") {
	}
	if !p.skip("cursor") {
		p.unknown()
		return
	}
	if p.skip("with") {
		p.taint |= Cursor
		p.skip("hold")
	} else if p.skip("without") {
		p.skip("hold")
	}
	if !p.skip("for") {
		p.unknown()
		return
	}
	p.query()
}

// copy reads COPY {table [(columns)] | (query)} {FROM | TO} {STDIN | STDOUT}.
func (p *parser) copy() {
	p.skip("binary")
	if p.isSign('(') {
		p.advance()
		p.inside()
	} else {
		for p.isName() {
			p.advance()
			if !p.isSign('.') {
				break
			}
			p.advance()
		}
		p.columns()
	}
	if !p.skip("from") && !p.skip("to") || !p.skip("stdin") && !p.skip("stdout") {
		p.taint |= File
	}
}
