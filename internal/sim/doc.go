// Package sim runs whole fleets in virtual time: the shipped producers and consumers, through the real SDK clients, on kinesistest, in one bubble of
// testing/synctest. A seed draws the fleet, its shards, what befalls it, and replays.
//
// What makes it replay is that all that goes between a component and the world passes one place, the bus: a request is parked there until everything that
// happens at that moment has happened, requests of the same moment are put in an order that does not depend on which goroutine ran first, and each is
// given a moment of its own to be performed and another to be answered. So at any moment one thing happens, and time moves on when nothing is left to do.
//
// Package history judges what came of it.
package sim
