package wire

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

// tree reads a document with the Reader into what encoding/json would make of its strings, objects and arrays; other values are nil.
func tree(r *Reader) any {
	switch r.space(); r.peek() {
	case '{':
		m := map[string]any{}
		r.Object(func(name []byte) { key := string(name); m[key] = tree(r) })
		return m
	case '[':
		list := []any{}
		r.Array(func() { list = append(list, tree(r)) })
		return list
	case '"':
		s, _ := r.String()
		return string(s)
	}
	r.Skip()
	return nil
}

func simplify(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for name := range v {
			v[name] = simplify(v[name])
		}
		return v
	case []any:
		for i := range v {
			v[i] = simplify(v[i])
		}
		return v
	case string:
		return v
	}
	return nil
}

// The Reader takes every document that encoding/json takes, to the same effect, and no other, but for raw control characters in strings
// and for nesting beyond what a request has.
func FuzzReaderAgreesWithEncodingJSON(f *testing.F) {
	for _, doc := range []string{
		``, ` `, `{}`, `[]`, `null`, `"x"`, `1`, `-1.5e3`, `true`, `tru`, `nul`, `nullx`, `{"a":1}`, `{"a":1,}`, `{"a" 1}`, `{a:1}`, `[1,2]`, `[1,,2]`,
		`[1 2]`, `[1,]`, `{"a":[{"b":"c\n\u00e4\"\\"}, null, {}]} `, `{"a":"`, `"\`, `"\u12"`, `{"a":{"b":[`, `}`, `]`, `{"a":1}{`, "[\"\xff\"]",
		`{"Records":[{"Data":"eA==","PartitionKey":"k"}],"StreamName":"s"}`, `{"\u0061":"b"}`, `[1}`, `{"a":]}`, "\ufeff{}", `1e700`,
	} {
		f.Add([]byte(doc))
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		if slices.ContainsFunc(doc, func(c byte) bool { return c < ' ' }) || strings.Count(string(doc), "[")+strings.Count(string(doc), "{") > maxDepth {
			t.Skip()
		}
		valid := json.Valid(doc)
		r := NewReader(doc)
		got := tree(r)
		if err := r.End(); (err == nil) != valid {
			t.Fatalf("%q: the Reader says %v, encoding/json that it is a document: %v", doc, err, valid)
		}
		if !valid {
			return
		}
		var want any
		d := json.NewDecoder(bytes.NewReader(doc))
		d.UseNumber() // a number that no float64 has is one all the same
		if err := d.Decode(&want); err != nil {
			t.Fatal(err)
		}
		a, _ := json.Marshal(got)
		b, _ := json.Marshal(simplify(want))
		if string(a) != string(b) {
			t.Fatalf("%q: %s, want %s", doc, a, b)
		}
	})
}

func TestReaderRefusesBottomlessNesting(t *testing.T) {
	t.Parallel()
	for _, c := range []string{"[", `{"a":`} {
		r := NewReader([]byte(strings.Repeat(c, 1_000_000)))
		if r.Skip(); r.End() == nil {
			t.Error("accepted")
		}
	}
}

func TestTargetsNameServiceAndOperation(t *testing.T) {
	t.Parallel()
	for target, want := range map[string]string{
		"Kinesis_20131202.PutRecords": "kinesis PutRecords", "DynamoDB_20120810.GetItem": "dynamodb GetItem",
		"Firehose_20150804.PutRecord": "firehose PutRecord", "": "", "Kinesis_20131202": "", "Kinesis_20131202.": "", "PutRecords": "",
	} {
		service, op, ok := Operation(target)
		if got := strings.TrimSpace(service + " " + op); got != want || ok != (want != "") {
			t.Errorf("%q: %q %v", target, got, ok)
		}
	}
}

func TestAnExceptionIsWrittenWithItsMembers(t *testing.T) {
	t.Parallel()
	e := &Error{Code: "ConditionalCheckFailedException", Message: "no", Members: map[string]any{"Item": map[string]string{"a": "b"}}}
	status, body := e.Encode(DynamoDB)
	const want = `{"Item":{"a":"b"},"__type":"com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException","message":"no"}`
	if status != 400 || string(body) != want {
		t.Errorf("%d %s", status, body)
	}
	e.Members = map[string]any{"Item": func() {}}
	if _, body := e.Encode(Kinesis); string(body) != `{"__type":"ConditionalCheckFailedException","message":"no"}` {
		t.Errorf("%s", body)
	}
}

func TestValuesAreAppendedAsJSON(t *testing.T) {
	t.Parallel()
	for _, s := range []string{"", "plain", `"quoted\"`, "tab\t", "日本", "\xff", "<&>\u2028"} {
		var got, want string
		quoted, _ := json.Marshal(s) //nolint:errchkjson // a string always marshals
		if err := json.Unmarshal(AppendString(nil, s), &got); err != nil || json.Unmarshal(quoted, &want) != nil || got != want {
			t.Errorf("%q became %q: %v", s, got, err)
		}
	}
	for ms, want := range map[int64]string{0: "0.000", 1: "0.001", 946684800123: "946684800.123", -1500: "-1.500"} {
		if got := string(AppendMillis(nil, ms)); got != want {
			t.Errorf("%d became %s", ms, got)
		}
	}
}
