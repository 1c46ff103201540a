// Package interop compares this module's aggregates with those of a decoder and an encoder that others wrote: AWS's own for Go, on Google's protobuf
// runtime. It is a module of its own so that neither comes near the users of this one.
//
//	go test ./... -aggregates 1000000
package interop
