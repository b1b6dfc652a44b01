# Makes backbone, heads and captioner of the starter release again: make starter CC0=/path/to/clothing-dataset
# What CC0 has to hold: see models/starter/README.md. About an hour and a half of one core: most of it is rendering and
# fine-tuning, which goes on where it was stopped.

CC0 ?= ../shared/data/cc0
STARTER := models/starter
WORK := var/starter
STARTER_PRODUCTS ?= 500
STARTER_SPLIT := --split-seed 22
STARTER_DATA := clothing-dataset (CC0 photos, split by sender) and rendered photos of the demo catalog; the brands are invented
STARTER_HEADS := type color pattern brand
ATELIER := $(BIN)/atelier

.PHONY: starter
starter: $(WORK)/release/release.toml ## train the backbone, the heads and the captioner of the starter release again
	cp $(WORK)/release/release.toml $(STARTER)/release.toml
	cp $(WORK)/release/cards/* $(STARTER)/cards/
	$(ATELIER) release verify starter

$(WORK)/demo/feed.parquet:
	$(ATELIER) demo-catalog $(WORK)/demo --products $(STARTER_PRODUCTS) --seed 1

# the backbone as its makers published it, alone
$(WORK)/bare/release.toml: $(STARTER)/cards/efficientnet_lite0.toml
	rm -rf $(WORK)/bare
	$(ATELIER) release create $(WORK)/bare --from $(STARTER) --card $< \
		$(foreach head,$(STARTER_HEADS) captioner,--without $(head))

$(WORK)/features/demo/meta.json: $(WORK)/demo/feed.parquet $(WORK)/bare/release.toml
	$(ATELIER) features $(WORK)/features/demo --demo $(WORK)/demo --name demo --pictures --release $(WORK)/bare

$(WORK)/features/cc0/meta.json: $(STARTER)/labels-cc0.toml $(WORK)/bare/release.toml
	$(ATELIER) features $(WORK)/features/cc0 --labels $(CC0)/labels.csv --product-column sender_id \
		--label-column type --names $(STARTER)/labels-cc0.toml --name cc0 --pictures --release $(WORK)/bare

$(WORK)/tuned/cards/backbone.toml: $(WORK)/features/cc0/meta.json $(WORK)/features/demo/meta.json
	$(ATELIER) classify finetune $(WORK)/tuned --features $(WORK)/features/cc0 --features $(WORK)/features/demo \
		--backbone $(STARTER)/cards/efficientnet_lite0.toml $(foreach head,$(STARTER_HEADS),--head $(head)) \
		--extra-input color=color_histogram --hidden color=256 --epochs 8 --mix 0.2 \
		$(if $(wildcard $(WORK)/tuned/checkpoint.pt),--resume) $(STARTER_SPLIT) --licence Apache-2.0 --data "$(STARTER_DATA)"

$(WORK)/heads/release.toml: $(WORK)/tuned/cards/backbone.toml
	rm -rf $(WORK)/heads
	$(ATELIER) release create $(WORK)/heads --from $(STARTER) --card $< \
		$(foreach head,$(STARTER_HEADS),--card $(WORK)/tuned/cards/$(head).toml) --without captioner

$(WORK)/features/tuned/meta.json: $(WORK)/heads/release.toml
	$(ATELIER) features $(WORK)/features/tuned --demo $(WORK)/demo --name demo --release $(WORK)/heads

$(WORK)/captions/cards/captioner.toml: $(WORK)/features/tuned/meta.json
	$(ATELIER) annotate train $(WORK)/captions --features $(WORK)/features/tuned --extra-input color_histogram \
		$(STARTER_SPLIT) --licence CC0-1.0 --data "rendered photos of the demo catalog with the captions it writes"

$(WORK)/release/release.toml: $(WORK)/captions/cards/captioner.toml
	rm -rf $(WORK)/release
	$(ATELIER) release create $(WORK)/release --from $(WORK)/heads --card $<
