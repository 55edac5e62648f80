package sqllex

// parser reads a text's statements as far as [Effects] needs: the heads exactly, the rest token
// by token. An unexpected head is [Unknown].
type parser struct {
	lexer
	effects *Effects
	tok     token
	prev    token // the token before tok
	before  int   // end of prev
	taint   Taint // of the statement
	depth   int   // of parentheses, and of bodies in bodies
	rule    bool  // in CREATE RULE, whose actions stand in parentheses with semicolons
	target  place // place of tok in the name of the target of UPDATE or INTO
}

// place is a token's place in a name that may have several parts.
type place uint8

const (
	elsewhere place = iota
	atPart          // a part may stand here
	afterPart       // a point may follow
)

// advance goes to the next token, and classifies tokens that taint in any place.
func (p *parser) advance() {
	switch {
	case p.isWord("update"), p.isWord("into"), p.target == afterPart && p.isSign('.'),
		p.target == atPart && (p.isWord("only") || p.isSign('(')):
		p.target = atPart
	case p.target == atPart && p.isName():
		p.target = afterPart
	default:
		p.target = elsewhere
	}
	p.prev, p.before = p.tok, p.tok.end
	p.tok = p.next()
	switch p.tok.kind {
	case escaped:
		p.taint |= Unreadable
	case word, quoted:
		switch p.tok.name {
		case tempSchema:
			p.taint |= Temp
		case settingsView:
			if p.target == atPart {
				p.taint |= Settings
				p.effects.SetsGuarded = true
			}
		}
	}
}

func (p *parser) isSign(c byte) bool { return p.tok.kind == sign && p.tok.char == c }

func (p *parser) isWord(w string) bool { return p.tok.kind == word && p.tok.name == w }

// isName reports whether the token can be a name: a quoted name, or any word.
func (p *parser) isName() bool {
	return p.tok.kind == word || p.tok.kind == quoted || p.tok.kind == escaped
}

// isOver reports whether the statement has no more tokens.
func (p *parser) isOver() bool { return p.tok.kind == end || p.isSign(';') }

// skip advances if the token is the word w.
func (p *parser) skip(w string) bool {
	if !p.isWord(w) {
		return false
	}
	p.advance()
	return true
}

// rest reads the statement to its end.
func (p *parser) rest() {
	for !p.isOver() {
		p.item()
	}
}

// item reads a token, or a pair of parentheses with the contents.
func (p *parser) item() {
	switch {
	case p.isSign('('):
		p.parentheses()
	case p.isWord("into"):
		// INSERT INTO and MERGE INTO are read before item. A label or a column may be named
		// into; every remaining INTO belongs to SELECT.
		if !(p.prev.kind == word && p.prev.name == "as") && !(p.prev.kind == sign && p.prev.char == '.') {
			p.taint |= Temp | Definition
		}
		p.advance()
	default:
		p.advance()
	}
}

// parentheses reads a pair of parentheses, and classifies the function whose call the parentheses
// belong to.
func (p *parser) parentheses() {
	function := ""
	if p.prev.kind == word || p.prev.kind == quoted {
		function = p.prev.name
	}
	if p.depth++; p.depth > maxDepth {
		p.stop()
	}
	p.advance()
	switch function {
	case "set_config", "ts_rewrite":
		p.arguments(function)
	default:
		p.taint |= tainting[function]
		p.inside()
	}
	p.depth--
}

// inside reads the contents of parentheses, after the opening parenthesis, and the closing
// parenthesis.
func (p *parser) inside() {
	p.verb()
	for p.tok.kind != end && !p.isSign(')') && (p.rule || !p.isSign(';')) {
		p.item()
	}
	if p.isSign(')') {
		p.advance()
	}
}

// verb reads the head of a query that may stand in parentheses: WITH's list, then INSERT INTO or
// MERGE INTO. A column may be named insert or merge.
func (p *parser) verb() {
	if p.isWord("with") {
		p.with()
	}
	if p.skip("insert") || p.skip("merge") {
		p.skip("into")
	}
}

// arguments reads and classifies the arguments of set_config or ts_rewrite.
func (p *parser) arguments(function string) {
	var first, third token
	var tokens [4]int // of each argument; the fourth counts all later arguments
	n := 0
	for p.tok.kind != end && !p.isSign(')') && !p.isSign(';') {
		if p.isSign(',') {
			n = min(n+1, len(tokens)-1)
			p.advance()
			continue
		}
		switch tokens[n]++; {
		case n == 0:
			first = p.tok
		case n == 2:
			third = p.tok
		}
		p.item()
	}
	if p.isSign(')') {
		p.advance()
	}
	if function == "ts_rewrite" {
		if n != 2 { // ts_rewrite with three arguments runs no text
			p.taint |= Function
		}
		return
	}
	p.config(tokens, first, third)
}

// config classifies set_config by its first and third argument.
func (p *parser) config(tokens [4]int, first, third token) {
	local := tokens[2] == 1 && third.kind == word && third.name == "true" && tokens[3] == 0
	if tokens[0] != 1 || !first.plain {
		p.taint |= Seed // the name may be seed, or guarded
		p.effects.SetsGuarded = true
		if !local {
			p.taint |= Settings | Role
		}
		return
	}
	name := p.sql[first.start+1 : first.end-1]
	guarded, isGuarded := guardedTaint(name)
	p.effects.SetsGuarded = p.effects.SetsGuarded || isGuarded
	switch {
	case fold(name) == "seed":
		p.taint |= Seed
	case local && readingSettings[fold(name)]:
		p.taint |= Settings // the server would read the batch's next text differently
	case local:
	case isGuarded:
		p.taint |= guarded
	default:
		p.taint |= Settings
	}
}

// fold returns a known setting's name in lower case, empty for unknown names: the server
// compares settings without regard to case.
func fold(name string) string { return knownName(name, true) }

// guardedTaint returns the taint of a guarded setting, by the name or by the first part of the name.
func guardedTaint(name string) (Taint, bool) {
	for i := range len(name) {
		if name[i] == '.' {
			name = name[:i]
			break
		}
	}
	t, ok := guardedSettings[fold(name)]
	return t, ok
}
