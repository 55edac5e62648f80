package sqllex

// set reads SET. SET is plain only if the effect ends with the transaction, and not for all
// settings.
func (p *parser) set() Kind {
	p.advance()
	switch {
	case p.isWord("constraints"):
		p.advance()
		if !p.assigns() {
			return KindSetConstraints
		}
		p.taint |= Settings // a setting named constraints
	case p.isWord("local"):
		p.advance()
		if p.assigns() {
			p.taint |= Settings
			return KindSet
		}
		p.setting(true)
	case p.isWord("session"):
		p.advance()
		switch {
		case p.assigns():
			p.taint |= Settings
		case p.isWord("authorization"):
			p.classifySet(false, Role, true)
		default:
			p.setting(false)
		}
	default:
		p.setting(false)
	}
	return KindSet
}

// assigns reports whether the word before was a setting's name, or its first part.
func (p *parser) assigns() bool {
	return p.isSign('.') || p.isSign('=') || p.isWord("to") || p.isWord("from")
}

// setting reads the name of a setting, after SET, SET LOCAL or SET SESSION.
func (p *parser) setting(local bool) {
	if !p.isName() {
		p.unknown()
		return
	}
	first := p.tok
	p.advance()
	switch isKeyword := first.kind == word && !p.assigns(); {
	case isKeyword && first.name == "transaction":
		return // ends with the transaction, whether LOCAL or not
	case isKeyword && first.name == "session" && p.isWord("authorization"):
		p.classifySet(local, Role, true)
		return
	case isKeyword && first.name == "session":
		p.taint |= Settings // CHARACTERISTICS
		return
	}
	name := first.name
	if first.kind == quoted {
		name = p.sql[first.start+1 : first.end-1] // as in "app.current_tenant"
	}
	if fold(name) == "seed" {
		p.taint |= Seed
	}
	taint, guarded := guardedTaint(name)
	p.classifySet(local, taint, guarded || first.kind == escaped)
}

// classifySet classifies SET of a setting.
func (p *parser) classifySet(local bool, taint Taint, guarded bool) {
	switch {
	case guarded:
		p.taint |= taint
		p.effects.SetsGuarded = true
	case !local:
		p.taint |= Settings
	}
}

// reset reads RESET. RESET ALL resets app.* as well.
func (p *parser) reset() {
	name := p.tok.name
	if p.tok.kind == quoted {
		name = p.sql[p.tok.start+1 : p.tok.end-1]
	}
	_, guarded := guardedTaint(name)
	if p.isWord("role") || p.isWord("session") || p.tok.kind == quoted {
		p.taint |= Role
	}
	if guarded || p.isWord("all") || p.isWord("session") || p.tok.kind == escaped {
		p.effects.SetsGuarded = true
	}
	p.taint |= Settings
}
