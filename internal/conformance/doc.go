// Package conformance holds kinesistest to what AWS documents.
//
// A server that is written by the authors of its clients shares their misunderstandings. So each behaviour that clients rely on is a test with the
// sentence of AWS's documentation that it follows, spoken through the SDK, and runs against kinesistest and against servers that others
// wrote: kinesalite and kinesis-local for Kinesis, dynalite for DynamoDB. Where one of these does otherwise, AWS's documentation decides, and
// the table says what the server does instead; a behaviour that a server is excused from is tried all the same, and an excuse that is
// no longer needed fails the suite. DESIGN.md lists the behaviours that no independent server shows.
//
// Everything is in the tests. Plain go test runs kinesistest alone, in memory on a virtual clock and over TCP. With KINESISKIT_ORACLES=1 and Node
// the independent servers run too: from npm, installed once into KINESISKIT_ORACLES_DIR (default: kinesiskit/oracles in the user's cache).
package conformance
