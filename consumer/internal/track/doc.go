// Package track knows, of the records of one shard that are worked on at the same time, which may begin, and up to where all are done. It is a function
// of values: it starts no goroutine and reads no clock.
package track
