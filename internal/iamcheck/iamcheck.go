// Package iamcheck reads the policies of docs/iam.md, so that tests can compare them with what the module calls.
package iamcheck

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// A policy stands in a block of JSON behind a comment that names it.
var block = regexp.MustCompile("(?s)<!-- policy: ([a-z0-9-]+) -->\n+```json\n(.*?)```")

// Policies returns the policies of a document by name, each as the actions it allows, sorted.
func Policies(document string) (map[string][]string, error) {
	policies := map[string][]string{}
	for _, m := range block.FindAllStringSubmatch(document, -1) {
		name := m[1]
		var policy struct {
			Version   string
			Statement []struct {
				Sid, Effect string
				Action      []string
				Resource    []string
			}
		}
		d := json.NewDecoder(strings.NewReader(m[2]))
		d.DisallowUnknownFields()
		if err := d.Decode(&policy); err != nil {
			return nil, fmt.Errorf("policy %s: %w", name, err)
		}
		if policies[name] != nil || policy.Version != "2012-10-17" {
			return nil, fmt.Errorf("policy %s: stands there twice, or has no version", name)
		}
		var actions []string
		for _, s := range policy.Statement {
			if s.Effect != "Allow" || len(s.Action) == 0 || len(s.Resource) == 0 {
				return nil, fmt.Errorf("policy %s: statement %q does not allow actions on resources", name, s.Sid)
			}
			if err := fits(s.Action, s.Resource); err != nil {
				return nil, fmt.Errorf("policy %s: statement %q: %w", name, s.Sid, err)
			}
			actions = append(actions, s.Action...)
		}
		slices.Sort(actions)
		policies[name] = slices.Compact(actions)
	}
	return policies, nil
}

// fits says whether all resources of a statement are of the service of its actions.
func fits(actions, resources []string) error {
	for _, a := range actions {
		service, op, ok := strings.Cut(a, ":")
		if !ok || op == "" || strings.Contains(op, "*") {
			return fmt.Errorf("%q is not one action", a)
		}
		for _, r := range resources {
			if !strings.HasPrefix(r, "arn:aws:"+service+":") {
				return fmt.Errorf("%q is no resource of %q", r, a)
			}
		}
	}
	return nil
}
