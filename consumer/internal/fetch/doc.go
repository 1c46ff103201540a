// Package fetch reads one shard: by polling, by the subscriptions of enhanced fan-out, or by one in place of the other. It knows where to begin and
// to go on, how often the service may be asked, which error costs what, and what the last page of a shard looks like. It delivers nothing and stores
// nothing.
package fetch
