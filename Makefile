# One set of features everywhere, so that no call rebuilds what another has built.
CARGO_FLAGS = --all-features

.DEFAULT_GOAL := help
.PHONY: help build demo test test-offline test-services bench bench-stages lint check-template check-deploy package deploy destroy up down

help: ## Print the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## Build the library and both programs
	cargo build $(CARGO_FLAGS)

demo: ## Run a demonstration; needs no server, no Docker and no AWS account
	cargo run $(CARGO_FLAGS) --bin kafka-consumer -- demo

test: test-offline test-services ## Run all tests; real services come from Docker, or with Java and Maven

test-offline: ## Run the tests that need no server
	cargo test --workspace $(CARGO_FLAGS) --lib --bins --examples --test offline
	cargo test $(CARGO_FLAGS) --doc

test-services: ## Run the tests on real services
	cargo test $(CARGO_FLAGS) --test services

bench: ## Compare with a minimal client and a conventional poller; BENCH_ARGS="--only warm"
	cargo bench $(CARGO_FLAGS) --bench side_by_side -- $(BENCH_ARGS)

bench-stages: ## Measure the stages without I/O
	cargo bench $(CARGO_FLAGS) --bench stages
	cargo bench $(CARGO_FLAGS) --bench growth

lint: ## Check the format, the code and the dependencies
	cargo fmt --all --check
	cargo clippy --workspace $(CARGO_FLAGS) --all-targets -- -D warnings
	cargo deny --workspace --all-features check --hide-inclusion-graph

check-template: ## Check the CloudFormation template, without an account
	deploy/check.sh template

check-deploy: ## Check the template, build the packages and run them as Lambda would
	deploy/check.sh

package: ## Build dist/function.zip and dist/layer.zip; HANDLER=folder: of that crate; LINKING=dynamic: also for the layer
	deploy/package.sh $(LINKING)

deploy: ## Deploy dist/function.zip: make deploy STACK=... BUCKET=... PARAMETERS=file; PLAN=1 only shows what would change
	deploy/deploy.sh deploy

destroy: ## Remove the stack and keep its table: make destroy STACK=...
	deploy/deploy.sh destroy

up: ## Start Kafka (port 9092) and DynamoDB Local (port 8000) with a topic and a table
	docker compose up --detach --wait kafka dynamodb
	docker compose run --rm topic
	docker compose run --rm table

down: ## Stop them and delete their data
	docker compose down --volumes
