package awsx

import (
	"encoding/base64"
	"encoding/binary"
)

// base64Pairs has the two characters for each twelve bits.
var base64Pairs = func() (pairs [1 << 12]uint16) {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	for i := range pairs {
		pairs[i] = uint16(alphabet[i>>6]) | uint16(alphabet[i&63])<<8
	}
	return pairs
}()

// appendBase64 is base64.StdEncoding.AppendEncode, twice as fast: it looks up two characters at a time. Base64 is what costs most of a PutRecords,
// beside its signature.
func appendBase64(dst, src []byte) []byte {
	at, size := len(dst), base64.StdEncoding.EncodedLen(len(src))
	if cap(dst)-at < size {
		return base64.StdEncoding.AppendEncode(dst, src)
	}
	dst = dst[:at+size]
	out := dst[at:]
	for len(src) >= 8 && len(out) >= 8 { // eight bytes are read, six are encoded
		v := binary.BigEndian.Uint64(src) >> 16
		binary.LittleEndian.PutUint64(out, uint64(base64Pairs[v>>36])|uint64(base64Pairs[v>>24&0xfff])<<16|
			uint64(base64Pairs[v>>12&0xfff])<<32|uint64(base64Pairs[v&0xfff])<<48)
		src, out = src[6:], out[8:]
	}
	base64.StdEncoding.Encode(out, src)
	return dst
}
