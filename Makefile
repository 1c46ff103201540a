# One word for what a contributor does most. `.ci/run` is what must pass before a merge.

.PHONY: test race lint bench fuzz sim size crowds storm mutants caught quickstart oracles speed api

test: ## every test, as a user runs them
	go test ./...

race: ## the same under the race detector, in another order each time
	go test -race -shuffle=on ./...

lint: ## golangci-lint in the version that .ci/run pins
	.ci/run lint

bench:
	go test -run '^$$' -bench . -benchmem ./...

fuzz: ## each fuzz target for KINESISKIT_FUZZTIME, default 5s
	.ci/run fuzz

SEEDS ?= 200
sim: ## fleets with faults, SEEDS of them: of the lease core alone, and of whole processes
	go test ./lease -count=1 -run Sim -sim.seeds $(SEEDS)
	go test ./internal/sim -count=1 -timeout 0 -v -run Fleet -sim.seeds $(SEEDS)

crowds: ## producers that saturate one shard, twenty seeds: throttles, throughput, order
	go test ./producer ./producer/internal/send -count=1 -v -run 'Share|InOrder|Latecomer' -crowds 20

storm: ## a stream that is resharded every second for ten minutes: no reader loses anything
	go test ./producer -count=1 -v -run InAStorm -storm 10m

size: ## fleets of 3,800 leases and 500 workers in virtual time, the worst of three; some minutes of a processor
	go test ./lease -count=1 -timeout 60m -v -run '^TestSize' -size.full -size.seeds 3

mutants: ## take the guarantees out one by one: a test must notice each time
	go run ./internal/mutants

caught: ## the same for those that are not recorded as caught on these sources, and record them
	go run ./internal/mutants -unrecorded -record

quickstart: ## the README's demonstration
	go run ./examples/quickstart

api: ## write the record of the exported API into api/
	go test ./internal/apicheck -count=1 -update

oracles: ## the conformance suite against independent servers (Node)
	.ci/run oracles

speed: ## kinesistest against servers that do nothing: ratios, memory, start
	go test ./internal/conformance -count=1 -v -run Speed -speed
