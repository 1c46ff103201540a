package dynamo

import "slices"

// node is a parsed part of a condition: until what follows it is known, (a) may be an operand in parentheses or the start of a
// condition in parentheses.
type node struct {
	operand   operand
	condition condition
	function  string // that condition is a call of
	parens    bool
}

// condition parses OR, AND, NOT and comparisons, in rising precedence.
func (p *parser) condition() condition {
	return p.wantCondition(p.or())
}

func (p *parser) or() node {
	left := p.and()
	for p.acceptWord("OR") {
		l := p.wantCondition(left)
		left = node{condition: or{l, p.wantCondition(p.and())}}
	}
	return left
}

func (p *parser) and() node {
	left := p.not()
	for p.acceptWord("AND") {
		l := p.wantCondition(left)
		left = node{condition: and{l, p.wantCondition(p.not())}}
	}
	return left
}

func (p *parser) not() node {
	if p.acceptWord("NOT") {
		return node{condition: not{p.wantCondition(p.not())}}
	}
	return p.relation()
}

func (p *parser) relation() node {
	left := p.primary()
	t := p.peek()
	switch {
	case t.kind == tokenSymbol && slices.Contains([]string{"=", "<>", "<", "<=", ">", ">="}, t.text):
		p.next()
		c := comparison{t.text, p.wantOperand(left), p.wantOperand(p.primary())}
		p.checkDistinct(t.text, c.left, c.right)
		if t.text != "=" && t.text != "<>" {
			p.checkOrdered(t.text, c.left, c.right)
		}
		return node{condition: c}
	case p.acceptWord("BETWEEN"):
		c := between{x: p.wantOperand(left), low: p.wantOperand(p.primary())}
		if !p.acceptWord("AND") {
			p.unexpected()
		}
		c.high = p.wantOperand(p.primary())
		p.checkOrdered("BETWEEN", c.x, c.low, c.high)
		p.checkBounds(c.low, c.high)
		return node{condition: c}
	case p.acceptWord("IN"):
		c := in{x: p.wantOperand(left)}
		p.expect("(")
		for _, n := range p.arguments() {
			c.list = append(c.list, p.wantOperand(n))
		}
		if len(c.list) > 100 {
			p.reject(badCount("IN", len(c.list)+1))
		}
		return node{condition: c}
	}
	return left
}

func (p *parser) primary() node {
	t := p.peek()
	switch {
	case p.accept("("):
		inner := p.or()
		p.expect(")")
		if inner.parens {
			p.reject("The expression has redundant parentheses;")
		}
		inner.parens = true
		return inner
	case t.kind == tokenValue:
		return node{operand: p.literal()}
	case t.kind == tokenIdent && p.tokens[p.pos+1].symbol("("):
		p.next()
		p.next()
		return p.call(t.text, p.arguments())
	}
	return node{operand: p.path()}
}

// arguments is what follows an opening parenthesis, with the closing one.
func (p *parser) arguments() []node {
	nodes := []node{p.primary()}
	for p.accept(",") {
		nodes = append(nodes, p.primary())
	}
	p.expect(")")
	return nodes
}

func (p *parser) wantCondition(n node) condition {
	if n.condition != nil {
		return n.condition
	}
	if _, ok := n.operand.(sizeOf); ok {
		p.reject("The function is not allowed to be used this way in an expression; function: size")
	} else {
		p.unexpected()
	}
	return not{}
}

func (p *parser) wantOperand(n node) operand {
	switch {
	case n.operand != nil:
		return n.operand
	case n.function != "":
		p.reject("The function is not allowed to be used this way in an expression; function: " + n.function)
	default:
		p.unexpected()
	}
	return literal{}
}

var conditionFunctions = map[string]int{
	"attribute_exists": 1, "attribute_not_exists": 1, "attribute_type": 2, "begins_with": 2, "contains": 2, "size": 1,
}

func (p *parser) call(function string, arguments []node) node {
	operands := make([]operand, len(arguments))
	for i, n := range arguments {
		operands[i] = p.wantOperand(n)
	}
	want, ok := conditionFunctions[function]
	bad := node{condition: not{}, function: function}
	switch {
	case function == "if_not_exists" || function == "list_append":
		p.reject("The function is not allowed in a condition expression; function: " + function)
		return bad
	case !ok:
		p.reject("Invalid function name; function: " + function)
		return bad
	case want != len(operands):
		p.reject(badCount(function, len(operands)))
		return bad
	}
	if len(operands) == 2 {
		p.checkDistinct(function, operands[0], operands[1])
	}
	switch function {
	case "size":
		if k := literalKind(operands[0]); k == kindN || k == kindBOOL || k == kindNULL {
			p.reject(badOperand(function, k))
		}
		return node{operand: sizeOf{operands[0]}}
	case "begins_with":
		for _, o := range operands {
			if k := literalKind(o); k != 0 && k != kindS && k != kindB {
				p.reject(badOperand(function, k))
			}
		}
		return node{condition: beginsWith{operands[0], operands[1]}, function: function}
	case "contains":
		return node{condition: contains{operands[0], operands[1]}, function: function}
	case "attribute_type":
		return node{condition: p.attributeType(operands[0], operands[1]), function: function}
	}
	at, ok := operands[0].(path)
	if !ok {
		p.reject("Operator or function requires a document path; operator or function: " + function)
		return bad
	}
	return node{condition: exists{at, function == "attribute_exists"}, function: function}
}

func (p *parser) attributeType(x, name operand) condition {
	l, ok := name.(literal)
	if !ok || l.v.kind != kindS {
		k := "{NS,SS,L,BS,N,M,B,BOOL,NULL,S}"
		if ok && l.v.kind != 0 {
			k = l.v.kind.String()
		}
		p.reject("Incorrect operand type for operator or function; operator or function: attribute_type, operand type: " + k)
		return not{}
	}
	if l.v.bytes == "" || !slices.Contains(kindNames[:], l.v.bytes) {
		p.reject("Invalid attribute type name found; type: " + l.v.bytes + ", valid types: {B,NULL,SS,BOOL,L,BS,N,NS,S,M}")
	}
	return hasType{x, l.v.bytes}
}

// literalKind is 0 for what depends on the item.
func literalKind(o operand) kind {
	l, _ := o.(literal)
	return l.v.kind
}

func (p *parser) checkOrdered(operator string, operands ...operand) {
	for _, o := range operands {
		if k := literalKind(o); k != 0 && !k.ordered() {
			p.reject("Incorrect operand type for operator or function; operator: " + operator + ", operand type: " + k.String())
		}
	}
}

func (p *parser) checkDistinct(operator string, left, right operand) {
	l, okL := left.(path)
	r, okR := right.(path)
	if okL && okR && slices.Equal(l, r) {
		p.reject("The first operand must be distinct from the remaining operands for this operator or function; operator: " +
			operator + ", first operand: " + l.String())
	}
}

func (p *parser) checkBounds(low, high operand) {
	l, r := literalKind(low), literalKind(high)
	if l == 0 || r == 0 || !l.ordered() {
		return
	}
	a, b := low.(literal).v, high.(literal).v
	bounds := "lower bound operand: AttributeValue: {" + l.String() + ":" + a.text() +
		"}, upper bound operand: AttributeValue: {" + r.String() + ":" + b.text() + "}"
	switch {
	case l != r:
		p.reject("The BETWEEN operator requires same data type for lower and upper bounds; " + bounds)
	case a.compare(b) > 0:
		p.reject("The BETWEEN operator requires upper bound to be greater than or equal to lower bound; " + bounds)
	}
}
