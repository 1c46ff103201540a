package dynamo

import "strings"

type tokenKind uint8

const (
	tokenEnd    tokenKind = iota
	tokenIdent            // attribute, function or keyword
	tokenName             // #placeholder
	tokenValue            // :placeholder
	tokenNumber           // digits of a list index
	tokenSymbol           // operator or punctuation
	tokenBad              // a character no expression has
)

type token struct {
	kind       tokenKind
	text       string
	start, end int
}

// is compares keywords without regard to case, as the service does; it takes them in upper case.
func (t token) is(keyword string) bool {
	return t.kind == tokenIdent && strings.EqualFold(t.text, keyword)
}

func (t token) symbol(s string) bool { return t.kind == tokenSymbol && t.text == s }

// lex splits an expression; the last token is tokenEnd.
func lex(src string) []token {
	tokens := make([]token, 0, len(src)/4+2)
	for i := 0; i < len(src); {
		c := src[i]
		start := i
		kind := tokenSymbol
		switch {
		case c == ' ' || c == '\t' || c == '\r' || c == '\n':
			i++
			continue
		case c == '#' || c == ':':
			i = endOfWord(src, i+1)
			kind = tokenValue
			if c == '#' {
				kind = tokenName
			}
			if i == start+1 {
				kind = tokenBad
			}
		case c >= '0' && c <= '9':
			for i < len(src) && src[i] >= '0' && src[i] <= '9' {
				i++
			}
			kind = tokenNumber
		case wordByte(c):
			i = endOfWord(src, i)
			kind = tokenIdent
		case strings.HasPrefix(src[i:], "<>"), strings.HasPrefix(src[i:], "<="), strings.HasPrefix(src[i:], ">="):
			i += 2
		case strings.IndexByte("()[],.=<>+-", c) >= 0:
			i++
		default:
			i++
			kind = tokenBad
		}
		tokens = append(tokens, token{kind, src[start:i], start, i})
	}
	return append(tokens, token{tokenEnd, "<EOF>", len(src), len(src)})
}

func endOfWord(src string, i int) int {
	for i < len(src) && wordByte(src[i]) {
		i++
	}
	return i
}

func wordByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_'
}
