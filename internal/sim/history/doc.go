// Package history judges what a fleet did by what can be seen from outside: which records the service stored, what producers were told, which records were
// handed to the program's code and what came of that, and how the rows of the lease table changed. It knows nothing of how any of it was done.
//
// A Checker is told of each event in the order in which it took place, and says at once what is wrong with it. Every rule has a history in the tests that
// it must refuse: a checker that accepts everything proves nothing.
package history
