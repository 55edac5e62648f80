package sqllex

// query reads the head of a query and returns the query's kind. rest reads the remainder.
func (p *parser) query() Kind {
	if p.isWord("with") {
		p.with()
	}
	switch {
	case p.isSign('('):
		p.parentheses()
		return KindSelect
	case p.skip("select"), p.skip("values"), p.skip("table"):
		return KindSelect
	case p.skip("insert"):
		return p.into(KindInsert)
	case p.skip("merge"):
		return p.into(KindMerge)
	case p.skip("update"):
		return KindUpdate
	case p.skip("delete"):
		return KindDelete
	}
	return p.unknown()
}

func (p *parser) into(k Kind) Kind {
	if !p.skip("into") {
		return p.unknown()
	}
	return k
}

func (p *parser) unknown() Kind {
	p.taint |= Unknown
	return KindOther
}

// with reads WITH and its list:
//
//	[RECURSIVE] name [(columns)] AS [[NOT] MATERIALIZED] (query) [SEARCH ...] [CYCLE ...], ...
//
// with has to be exact, because a name in the list may equal the query's verb.
func (p *parser) with() {
	p.advance()
	if p.skip("recursive") && (p.isWord("as") || p.isSign('(')) { // RECURSIVE is the name
		p.columns()
	} else if !p.withName() {
		return
	}
	for p.withQuery() && p.isSign(',') {
		p.advance()
		if !p.withName() {
			return
		}
	}
}

func (p *parser) withName() bool {
	if !p.isName() {
		p.unknown()
		return false
	}
	p.advance()
	p.columns()
	return true
}

// columns reads an optional list of names in parentheses. The list is no call of the name
// before.
func (p *parser) columns() {
	if p.isSign('(') {
		p.advance()
		p.inside()
	}
}

func (p *parser) withQuery() bool {
	if !p.skip("as") {
		p.unknown()
		return false
	}
	p.skip("not")
	p.skip("materialized")
	if !p.isSign('(') {
		p.unknown()
		return false
	}
	p.parentheses()
	if p.skip("search") {
		if !(p.skip("depth") || p.skip("breadth")) || !p.skip("first") || !p.skip("by") || !p.names() || !p.setName("set") {
			p.unknown()
			return false
		}
	}
	if p.skip("cycle") {
		if !p.names() || !p.setName("set") {
			p.unknown()
			return false
		}
		if p.skip("to") && !(p.constant() && p.skip("default") && p.constant()) || !p.setName("using") {
			p.unknown()
			return false
		}
	}
	return true
}

// names reads names with commas between them.
func (p *parser) names() bool {
	for {
		if !p.isName() {
			return false
		}
		p.advance()
		if !p.isSign(',') {
			return true
		}
		p.advance()
	}
}

func (p *parser) setName(w string) bool {
	if !p.skip(w) || !p.isName() {
		return false
	}
	p.advance()
	return true
}

func (p *parser) constant() bool {
	switch {
	case p.tok.kind == text, p.tok.kind == number, p.isWord("true"), p.isWord("false"), p.isWord("null"):
		p.advance()
		return true
	}
	return false
}
