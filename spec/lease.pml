/*
 * Is anything lost, moved back or falsely acknowledged, whoever takes the lease whenever, and whatever becomes of requests?
 *
 * Two workers, one shard. See machine.pml for what is modelled and what it mirrors.
 *
 * Must fail:
 *   WEAKREADBACK  a refused write is taken for done if owner and counter fit: an earlier write of ours with an older position fits too
 *   UNCOND        a checkpoint without condition
 *   OWNERCOND     the condition asks for the owner only, and the owner's id survives a restart
 *   TAKEREADBACK  a refused take is read back as a refused renewal is
 *
 * Must hold:
 *   NOREADBACK    every refusal is a loss: nothing is wrong, but leases are lost for nothing
 */
#include "machine.pml"

init { atomic { start() } }
