//! The model card of an export.

use anyhow::Context as _;
use model::{EncoderChoice, EncoderShape, Layout};
use toml::{Table, Value};

/// What a card says.
pub(crate) struct Card<'a> {
    /// Name of the run.
    pub(crate) run: &'a str,
    /// Steps that were trained, where they are known.
    pub(crate) step: Option<u64>,
    pub(crate) choice: EncoderChoice,
    pub(crate) shape: &'a EncoderShape,
    pub(crate) layout: Layout,
    /// Height and width of an image.
    pub(crate) image: [usize; 2],
    /// Whether frames were cropped to that, and not squashed.
    pub(crate) crop: bool,
    /// timm's `config.json`.
    pub(crate) timm: &'a serde_json::Value,
    /// What the run measured of itself until then.
    pub(crate) measured: Option<storage::Reading>,
    /// The run's `config.toml`.
    pub(crate) config: &'a str,
}

impl Card<'_> {
    /// The card as Markdown, with the front matter that model hubs read.
    pub(crate) fn text(&self) -> anyhow::Result<String> {
        let (config, streams) = public(self.config)?;
        let method = config["model"]["method"]["name"].as_str().unwrap_or_default().to_owned();
        let config = toml::to_string_pretty(&config).context("could not write the config")?;
        let (run, choice, image) = (self.run, self.choice.name(), self.sizes());
        let version = env!("CARGO_PKG_VERSION");
        let steps = self.step.map_or_else(String::new, |it| format!(" after {it} steps"));
        Ok(format!(
            "{front}\n\
             # {run}\n\n\
             A frame encoder that `onward` {version} pretrained on video, without labels, by the \
             method `{method}`: the {choice}'s weights{steps}. It gives features; it has no \
             classifier.\n\n\
             {image}\n\
             ## Use\n\n{usage}\n\
             ## Training\n\n\
             The config of a run over {streams}, every default filled in, without where the \
             video came from and where files went.\n\n\
             ```toml\n{config}```\n\n\
             {metrics}\
             ## Licence\n\n\
             To be decided by who trained these weights; see the rights in the data, which are \
             the video that they were learned from. The licence of `onward` is about its code \
             and says nothing of them.\n",
            front = front_matter(&method),
            usage = self.usage(),
            metrics = self.metrics(),
        ))
    }

    /// Architecture, sizes, and what goes in and comes out.
    fn sizes(&self) -> String {
        let [height, width] = self.image;
        let fit = if self.crop { "cropped to that aspect" } else { "squashed to that aspect" };
        let dim = self.shape.dim();
        let (architecture, output) = match self.shape {
            EncoderShape::Vit(it) => (
                format!(
                    "ViT: {} blocks, {dim} wide, {} heads, patches of {p} x {p}; pre-norm with \
                     ε = 1e-6, exact GELU, biases, learned positions",
                    it.depth,
                    it.heads,
                    p = it.patch
                ),
                format!("{} tokens of {dim} numbers, the class token first", it.tokens()),
            ),
            _ => ("ResNet-18".into(), format!("{dim} numbers, the mean of the last feature map")),
        };
        format!(
            "| | |\n|---|---|\n\
             | architecture | {architecture} |\n\
             | input | RGB, {height} x {width} (height x width), {fit}, bilinear |\n\
             | normalisation | colours in 0..1, mean {}, standard deviation {} |\n\
             | output | {output} |\n",
            self.timm["pretrained_cfg"]["mean"], self.timm["pretrained_cfg"]["std"],
        )
    }

    /// What the run measured, as a table.
    fn metrics(&self) -> String {
        let Some(storage::Reading { step, values }) = &self.measured else { return String::new() };
        let shown = |value: f64| match value.abs() < 1e-3 && value != 0.0 {
            true => format!("{value:.3e}"),
            false => format!("{value:.4}"),
        };
        let rows = values.iter().map(|(name, value)| format!("| `{name}` | {} |\n", shown(*value)));
        format!(
            "## Metrics\n\n\
             As the run measured them at step {step}, on the clips that it trained on. Nothing was \
             held out and no label was used: they tell of the training, and not how good the \
             features are for a task of yours.\n\n\
             | metric | value |\n|---|---:|\n{}\n",
            rows.collect::<String>()
        )
    }

    fn usage(&self) -> String {
        let output = match self.shape {
            EncoderShape::Vit(_) => "tokens = encoder.forward_features(images)",
            _ => "features = encoder(images)",
        };
        let timm = format!(
            "With timm (tested with 1.0.31), in the folder of this card:\n\n\
             ```python\n\
             import timm\n\
             encoder = timm.create_model(\"local-dir:.\", pretrained=True).eval()\n\
             {output}  # images [n, 3, height, width]\n\
             ```\n"
        );
        let (EncoderShape::Vit(it), Layout::Dinov2) = (self.shape, self.layout) else {
            return timm;
        };
        let (patch, dim, depth, heads) = (it.patch, it.dim, it.depth, it.heads);
        let [side, _] = self.image;
        format!(
            "With DINOv2's own code (tested with that of April 2023), in the folder of this card:\n\n\
             ```python\n\
             from dinov2.models.vision_transformer import DinoVisionTransformer\n\
             from safetensors.torch import load_file\n\
             encoder = DinoVisionTransformer(img_size={side}, patch_size={patch}, \
             embed_dim={dim}, depth={depth}, num_heads={heads}, init_values=1.0, \
             block_chunks=0).eval()\n\
             encoder.load_state_dict(load_file(\"model.safetensors\"))\n\
             ```\n\n{timm}"
        )
    }
}

/// The config without what is private: where its streams come from, and where its files are.
/// Beside it, how many streams there are, in words.
fn public(config: &str) -> anyhow::Result<(Table, String)> {
    let mut table: Table = toml::from_str(config).context("the run's config is no TOML")?;
    table.remove("storage");
    let encoder = table.get_mut("model").and_then(|it| it.get_mut("encoder"));
    if let Some(Value::String(weights)) = encoder.and_then(|it| it.get_mut("weights")) {
        *weights = weights.rsplit('/').next().unwrap_or_default().to_owned();
    }
    let pipeline = table.get_mut("pipeline").and_then(|it| it.as_table_mut());
    let streams = pipeline.and_then(|it| it.remove("stream"));
    let count = streams.and_then(|it| it.as_array().map(Vec::len)).unwrap_or_default();
    let streams = if count == 1 { "one stream".into() } else { format!("{count} streams") };
    Ok((table, streams))
}

fn front_matter(method: &str) -> String {
    let tags = ["image-feature-extraction", "self-supervised-learning", "video", "onward", method];
    let tags = tags.map(|it| format!("- {it}\n")).concat();
    format!(
        "---\nlicense: other\nlicense_name: to-be-decided\nlibrary_name: timm\n\
         pipeline_tag: image-feature-extraction\ntags:\n{tags}---\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_stream_and_no_folder_reaches_a_card() {
        let config = "[pipeline]\nsize = [8, 8]\n[[pipeline.stream]]\nname = \"hall\"\n\
                      [pipeline.stream.source]\nuri = \"rtsp://192.0.2.7/hall\"\n\
                      [storage]\ndir = \"/home/me/runs\"\n\
                      [model.encoder]\nweights = \"/home/me/vit.safetensors\"\n";
        let (table, streams) = public(config).unwrap();
        let wanted =
            "[model.encoder]\nweights = \"vit.safetensors\"\n\n[pipeline]\nsize = [8, 8]\n";
        assert_eq!(toml::to_string(&table).unwrap(), wanted);
        assert_eq!(streams, "one stream");
    }
}
