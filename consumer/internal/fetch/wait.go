package fetch

import "time"

// Wait is how long the next call of Next will wait before it asks the service.
func (p *Poller) Wait() time.Duration { return max(0, time.Until(p.next)) }

// Wait is how long the next call of Next will wait before it subscribes, if it has to.
func (s *Subscriber) Wait() time.Duration { return max(0, time.Until(s.next)) }

// Wait is that of the way which the last Next took.
func (e *Either) Wait() time.Duration {
	if e.polling {
		return e.poll.Wait()
	}
	return e.sub.Wait()
}
