package dynamo

import "strings"

var sectionNames = map[section]string{
	sectionSet: "SET", sectionRemove: "REMOVE", sectionAdd: "ADD", sectionDelete: "DELETE",
}

// update parses the sections, in any order and each at most once.
func (p *parser) update() *update {
	u := &update{}
	seen := make(map[section]bool)
	for {
		s := p.section()
		if s == 0 {
			p.unexpected()
			break
		}
		if seen[s] {
			p.reject("The \"" + sectionNames[s] + "\" section can only be used once in an update expression;")
		}
		seen[s] = true
		u.actions = append(u.actions, p.action(s))
		for p.accept(",") {
			u.actions = append(u.actions, p.action(s))
		}
		if p.peek().kind == tokenEnd {
			break
		}
	}
	paths := make([]path, len(u.actions))
	for i, a := range u.actions {
		paths[i] = a.path
	}
	if problem := checkPaths(paths); problem != "" {
		p.reject(problem)
	}
	return u
}

func (p *parser) section() section {
	for s := sectionSet; s <= sectionDelete; s++ {
		if p.acceptWord(sectionNames[s]) {
			return s
		}
	}
	return 0
}

func (p *parser) action(s section) action {
	a := action{section: s, path: p.path()}
	switch s {
	case sectionSet:
		p.expect("=")
		a.term = p.assigned()
	case sectionAdd, sectionDelete:
		a.operand = p.literal().v
		if k := a.operand.kind; k != 0 && !k.set() && (s == sectionDelete || k != kindN) {
			p.reject("Incorrect operand type for operator or function; operator: " + sectionNames[s] +
				", operand type: " + longName(k))
		}
	}
	return a
}

// longName is how this one message names types.
func longName(k kind) string {
	switch k {
	case kindS:
		return "STRING"
	case kindN:
		return "NUMBER"
	case kindB:
		return "BINARY"
	case kindBOOL:
		return "BOOLEAN"
	case kindM:
		return "MAP"
	case kindL:
		return "LIST"
	}
	return k.String()
}

// assigned is an operand, or exactly two with + or - between them; all of it may stand in parentheses.
func (p *parser) assigned() term {
	left := p.term()
	minus := p.peek().symbol("-")
	if !minus && !p.peek().symbol("+") {
		return left
	}
	operator := p.next().text
	s := sum{left: left, right: p.term(), minus: minus}
	p.checkTerms(operator, kindN, s.left, s.right)
	return s
}

func (p *parser) term() term {
	t := p.peek()
	switch {
	case p.accept("("):
		inner := p.assigned()
		p.expect(")")
		return inner
	case t.kind == tokenValue:
		return constant(p.literal())
	case t.kind == tokenIdent && p.tokens[p.pos+1].symbol("("):
		p.next()
		p.next()
		return p.updateCall(t.text)
	}
	return attribute{p.path()}
}

func (p *parser) updateCall(function string) term {
	arguments := []term{p.term()}
	for p.accept(",") {
		arguments = append(arguments, p.term())
	}
	p.expect(")")
	if function != "if_not_exists" && function != "list_append" {
		problem := "Invalid function name; function: " + function
		if _, ok := conditionFunctions[strings.ToLower(function)]; ok {
			problem = "The function is not allowed in an update expression; function: " + function
		}
		p.reject(problem)
		return constant{}
	}
	if len(arguments) != 2 {
		p.reject(badCount(function, len(arguments)))
		return constant{}
	}
	if function == "list_append" {
		p.checkTerms(function, kindL, arguments...)
		return listAppend{arguments[0], arguments[1]}
	}
	at, ok := arguments[0].(attribute)
	if !ok {
		p.reject("Operator or function requires a document path; operator or function: " + function)
	}
	return ifNotExists{at.path, arguments[1]}
}

// checkTerms rejects constants of another kind than wanted; what depends on the item is checked when it is computed.
func (p *parser) checkTerms(function string, wanted kind, terms ...term) {
	for _, t := range terms {
		if c, ok := t.(constant); ok && c.v.kind != 0 && c.v.kind != wanted {
			p.reject(badOperand(function, c.v.kind))
		}
	}
}
