package send

import (
	"regexp"
	"strconv"
)

// member finds the entries that a refusal names. The service counts them from 1.
var member = regexp.MustCompile(`(?i)\brecords\.(\d+)\.member\b`)

// isolate deals with a request that was refused because something in it is not valid: the service refuses all of it, also the records that are. If the
// refusal names entries, they are sent again one by one and the others together; else, or if that did not help, each half is sent again. What is refused
// alone is the culprit. A named entry is not simply believed to be: to fail an innocent record would be a loss.
func (c *Core) isolate(r *Request, f Failure, step *Step) {
	if len(r.Entries) == 1 {
		c.fail(r.Entries[0], f.Err, step)
		return
	}
	named := make(map[int]bool)
	if !r.isolating {
		for _, m := range member.FindAllStringSubmatch(f.Message, -1) {
			if n, err := strconv.Atoi(m[1]); err == nil && n >= 1 && n <= len(r.Entries) {
				named[n-1] = true
			}
		}
	}
	if len(named) == 0 || len(named) == len(r.Entries) {
		half := len(r.Entries) / 2
		c.suspect(r.Entries[:half]...)
		c.suspect(r.Entries[half:]...)
		return
	}
	var others []*Entry
	for i, e := range r.Entries {
		if !named[i] {
			others = append(others, e)
		}
	}
	c.suspect(others...)
	for i, e := range r.Entries {
		if named[i] {
			c.suspect(e)
		}
	}
}

// suspect makes a request of its own for the entries, to be sent before everything else. Each lane is in it as often as in the request that it is a
// part of, so with one Kinesis record of a lane still once.
func (c *Core) suspect(entries ...*Entry) {
	r := &Request{Entries: entries, isolating: true}
	for _, e := range entries {
		r.Bytes += e.Bytes
		c.hold(e, 1)
	}
	c.suspects = append(c.suspects, r)
}
