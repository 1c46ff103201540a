package dynamo

import (
	"strconv"

	"github.com/kinesiskit/kinesiskit/kinesistest/internal/wire"
)

// maxExpression is the service's limit in bytes; it also bounds how deep the parsers recurse.
const maxExpression = 4096

// parser is what the three grammars share. A syntax error is kept in syntax and leaves the parser at the end of input, so that no
// caller needs to stop; what is wrong with a well-formed expression is kept in fault and parsing goes on, because the service tells of
// a syntax error first.
type parser struct {
	src    string
	tokens []token
	pos    int
	ph     *placeholders
	syntax string
	fault  string
	paths  []path // all that were parsed
}

// parse runs a grammar over one expression of a request; nil text means absent and gives the zero T.
func parse[T any](e expression, ph *placeholders, grammar func(p *parser) T) (T, *wire.Error) {
	var zero T
	if e.text == nil {
		return zero, nil
	}
	src := *e.text
	switch {
	case src == "":
		return zero, invalid("Invalid %s: The expression can not be empty;", e.member)
	case len(src) > maxExpression:
		return zero, invalid("Invalid %s: Expression size has exceeded the maximum allowed size; expression size: %d",
			e.member, len(src))
	}
	p := &parser{src: src, tokens: lex(src), ph: ph}
	result := grammar(p)
	if p.peek().kind != tokenEnd {
		p.unexpected()
	}
	if p.syntax != "" {
		return zero, invalid("Invalid %s: %s", e.member, p.syntax)
	}
	if p.fault != "" {
		return zero, invalid("Invalid %s: %s", e.member, p.fault)
	}
	return result, nil
}

func (p *parser) peek() token { return p.tokens[p.pos] }

func (p *parser) next() token {
	t := p.tokens[p.pos]
	if t.kind != tokenEnd {
		p.pos++
	}
	return t
}

func (p *parser) accept(symbol string) bool {
	if p.peek().symbol(symbol) {
		p.pos++
		return true
	}
	return false
}

func (p *parser) expect(symbol string) {
	if !p.accept(symbol) {
		p.unexpected()
	}
}

func (p *parser) acceptWord(keyword string) bool {
	if p.peek().is(keyword) {
		p.pos++
		return true
	}
	return false
}

// unexpected reports the token the parser is at.
func (p *parser) unexpected() {
	if p.syntax == "" {
		first, last := max(0, p.pos-1), min(len(p.tokens)-1, p.pos+1)
		p.syntax = "Syntax error; token: " + strconv.Quote(p.peek().text) +
			", near: " + strconv.Quote(p.src[p.tokens[first].start:p.tokens[last].end])
	}
	p.pos = len(p.tokens) - 1
}

// reject keeps the first thing that is wrong.
func (p *parser) reject(problem string) {
	if p.fault == "" {
		p.fault = problem
	}
}

func (p *parser) path() path {
	out := path{{name: p.pathName()}}
	for {
		switch {
		case p.accept("."):
			out = append(out, step{name: p.pathName()})
		case p.accept("["):
			digits := p.peek()
			if digits.kind != tokenNumber {
				p.unexpected()
				return out
			}
			p.next()
			index, err := strconv.Atoi(digits.text)
			if err != nil {
				p.reject("List index is not within the allowable range; index: [" + digits.text + "]")
			}
			out = append(out, step{index: index})
			p.expect("]")
		default:
			if len(out) > maxNesting {
				p.reject("The document path has too many nesting elements; nesting levels: " + strconv.Itoa(len(out)))
			}
			p.paths = append(p.paths, out)
			return out
		}
	}
}

// pathName never returns "", which would be a list step; after an error the result is not used.
func (p *parser) pathName() string {
	t := p.peek()
	switch t.kind {
	case tokenIdent:
		p.next()
		if reserved(t.text) {
			p.reject("Attribute name is a reserved keyword; reserved keyword: " + t.text)
		}
		return t.text
	case tokenName:
		p.next()
		name, ok := p.ph.names[t.text]
		if !ok {
			p.reject("An expression attribute name used in the document path is not defined; attribute name: " + t.text)
			return t.text
		}
		p.ph.usedNames[t.text] = true
		return name
	}
	p.unexpected()
	return "?"
}

// literal takes a : placeholder.
func (p *parser) literal() literal {
	t := p.peek()
	if t.kind != tokenValue {
		p.unexpected()
		return literal{}
	}
	p.next()
	v, ok := p.ph.values[t.text]
	if !ok {
		p.reject("An expression attribute value used in expression is not defined; attribute value: " + t.text)
		return literal{}
	}
	p.ph.usedValues[t.text] = true
	return literal{v}
}

// projection is: path {"," path}.
func (p *parser) projection() *projection {
	paths := []path{p.path()}
	for p.accept(",") {
		paths = append(paths, p.path())
	}
	if problem := checkPaths(paths); problem != "" {
		p.reject(problem)
	}
	return newProjection(paths)
}

func badOperand(function string, k kind) string {
	return "Incorrect operand type for operator or function; operator or function: " + function + ", operand type: " + k.String()
}

func badCount(function string, n int) string {
	return "Incorrect number of operands for operator or function; operator or function: " + function +
		", number of operands: " + strconv.Itoa(n)
}
