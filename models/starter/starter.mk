# Makes the heads and the captioner of the starter release again: make starter CC0=/path/to/clothing-dataset
# What CC0 has to hold: see models/starter/README.md. Rendering and reading 7,800 pictures takes most of the time.

CC0 ?= ../shared/data/cc0
STARTER := models/starter
WORK := var/starter
STARTER_PRODUCTS ?= 500
STARTER_LIMITS := --split-seed 22 --licence CC0-1.0
ATELIER := $(BIN)/atelier

.PHONY: starter
starter: $(WORK)/release/release.toml ## train the heads and the captioner of the starter release again
	cp $(WORK)/release/release.toml $(STARTER)/release.toml
	cp $(WORK)/release/cards/* $(STARTER)/cards/
	$(ATELIER) release verify starter

$(WORK)/demo/feed.parquet:
	$(ATELIER) demo-catalog $(WORK)/demo --products $(STARTER_PRODUCTS) --seed 1

$(WORK)/features/demo/meta.json: $(WORK)/demo/feed.parquet
	$(ATELIER) features $(WORK)/features/demo --demo $(WORK)/demo --name demo --release $(STARTER)

$(WORK)/features/cc0/meta.json: $(STARTER)/labels-cc0.toml
	$(ATELIER) features $(WORK)/features/cc0 --labels $(CC0)/labels.csv --product-column sender_id \
		--label-column type --names $(STARTER)/labels-cc0.toml --name cc0 --release $(STARTER)

$(WORK)/type/cards/type.toml: $(WORK)/features/cc0/meta.json $(WORK)/features/demo/meta.json
	$(ATELIER) classify train $(WORK)/type --features $(WORK)/features/cc0 --features $(WORK)/features/demo --head type \
		$(STARTER_LIMITS) --data "clothing-dataset (CC0 photos, split by sender) and rendered photos of the demo catalog"

$(WORK)/looks/cards/color.toml: $(WORK)/features/demo/meta.json
	$(ATELIER) classify train $(WORK)/looks --features $(WORK)/features/demo --head color --head pattern --head brand \
		--extra-input color=color_histogram \
		$(STARTER_LIMITS) --data "rendered photos of the demo catalog; the brands are invented"

$(WORK)/captions/cards/captioner.toml: $(WORK)/features/demo/meta.json
	$(ATELIER) annotate train $(WORK)/captions --features $(WORK)/features/demo \
		$(STARTER_LIMITS) --data "rendered photos of the demo catalog with the captions it writes"

$(WORK)/release/release.toml: $(WORK)/type/cards/type.toml $(WORK)/looks/cards/color.toml $(WORK)/captions/cards/captioner.toml
	rm -rf $(WORK)/release
	$(ATELIER) release create $(WORK)/release --from $(STARTER) --card $(WORK)/type/cards/type.toml \
		--card $(WORK)/looks/cards/color.toml --card $(WORK)/looks/cards/pattern.toml \
		--card $(WORK)/looks/cards/brand.toml --card $(WORK)/captions/cards/captioner.toml
