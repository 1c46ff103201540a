// Package fetch reads one shard by polling: it knows where to begin, how often the service may be asked, which error keeps an iterator and which
// one costs it, and what the last page of a shard looks like. It delivers nothing and stores nothing.
package fetch
