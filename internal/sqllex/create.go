package sqllex

// create reads CREATE. A temporary table ON COMMIT DROP is plain; every different CREATE taints.
func (p *parser) create() {
	if p.skip("or") {
		p.skip("replace")
	}
	if !p.skip("global") {
		p.skip("local")
	}
	if p.skip("temp") || p.skip("temporary") {
		if !p.isWord("table") || !p.dropped() {
			p.taint |= Temp | Definition
		}
		return
	}
	p.taint |= Definition
	switch {
	case p.isWord("function"), p.isWord("procedure"):
		p.routine()
	case p.isWord("rule"):
		p.rule = true
	default:
		p.definition("create")
	}
}

// dropped reads CREATE TEMP TABLE from TABLE on and reports whether the table ends with the
// transaction.
func (p *parser) dropped() (yes bool) {
	for !p.isOver() {
		switch {
		case p.skip("on"):
			yes = yes || p.skip("commit") && p.skip("drop")
		case p.skip("as"):
			if p.skip("execute") {
				p.taint |= Prepared
			} else {
				p.query()
			}
			p.rest()
		default:
			p.item()
		}
	}
	return yes
}

// routine reads CREATE FUNCTION or PROCEDURE. The routine may have a body of statements with
// semicolons.
func (p *parser) routine() {
	for !p.isOver() {
		if p.skip("begin") {
			if p.skip("atomic") {
				p.body()
			}
			continue
		}
		p.item()
	}
}

// body reads the statements of a body, after BEGIN ATOMIC. END as a statement's first
// word ends the body: the server allows no transaction's END in a body.
func (p *parser) body() {
	if p.depth++; p.depth > maxDepth {
		p.stop()
	}
	for p.tok.kind != end && !p.skip("end") {
		if p.skip("create") {
			p.create()
		}
		p.rest()
		for p.isSign(';') {
			p.advance()
		}
	}
	p.depth--
}

// definition reads the words after the verb, and notes the commands that the server refuses in
// a transaction block.
func (p *parser) definition(verb string) {
	switch {
	case p.isWord("system"), p.isWord("subscription"), verb != "alter" && (p.isWord("database") || p.isWord("tablespace")),
		verb == "reindex" && p.isWord("schema"):
		p.alone(true)
	}
	concurrently, database := verb != "alter", verb == "alter" && p.isWord("database")
	for !p.isOver() {
		switch {
		case verb == "alter" && p.isWord("detach"):
			concurrently = true
		case concurrently && p.isWord("concurrently"), database && p.isWord("tablespace"):
			p.alone(true)
		case verb == "reindex" && p.isSign('('):
			p.reindexOptions()
			continue
		}
		p.item()
	}
}

// reindexOptions reads REINDEX's options in parentheses.
func (p *parser) reindexOptions() {
	for !p.isOver() && !p.isSign(')') {
		p.alone(p.isWord("concurrently"))
		p.advance()
	}
	p.advance()
	p.alone(p.isWord("system") || p.isWord("database") || p.isWord("schema"))
}
