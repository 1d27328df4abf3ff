//! The model card of an export.

use anyhow::Context as _;
use model::{EncoderChoice, EncoderShape, Layout};
use toml::{Table, Value};

/// The contents of a card.
pub(crate) struct Card<'a> {
    /// Name of the run.
    pub(crate) run: &'a str,
    /// Steps that the encoder was trained for, if known.
    pub(crate) step: Option<u64>,
    pub(crate) choice: EncoderChoice,
    pub(crate) shape: &'a EncoderShape,
    pub(crate) layout: Layout,
    /// Height and width of an image.
    pub(crate) image: [usize; 2],
    /// Whether frames were cropped to that size, not squashed.
    pub(crate) crop: bool,
    /// timm's `config.json`.
    pub(crate) timm: &'a serde_json::Value,
    /// The metrics of the run at that step.
    pub(crate) metrics: Option<storage::StepValues>,
    /// The run's `config.toml`.
    pub(crate) config: &'a str,
}

impl Card<'_> {
    /// The card as Markdown, with the front matter that model hubs read.
    pub(crate) fn text(&self) -> anyhow::Result<String> {
        let (config, streams) = public_config(self.config)?;
        let method = config["model"]["method"]["name"].as_str().unwrap_or_default().to_owned();
        let config = toml::to_string_pretty(&config).context("could not write the config")?;
        let (run, choice, image) = (self.run, self.choice.name(), self.sizes());
        let version = env!("CARGO_PKG_VERSION");
        let steps = self.step.map_or_else(String::new, |step| format!(" after {step} steps"));
        Ok(format!(
            "{front}\n\
             # {run}\n\n\
             A frame encoder that `onward` {version} pretrained on video, without labels, with the \
             method `{method}`. These are the weights of the {choice}{steps}. The encoder gives \
             features; it has no classifier.\n\n\
             {image}\n\
             ## Use\n\n{usage}\n\
             ## Training\n\n\
             The config of the run, over {streams}, with every default filled in. Where the video \
             came from and where files were stored is left out.\n\n\
             ```toml\n{config}```\n\n\
             {metrics}\
             ## Licence\n\n\
             To be decided by the owner of these weights, who must consider the rights in the \
             video that they were trained on. The licence of `onward` covers its code, not these \
             weights.\n",
            front = front_matter(&method),
            usage = self.usage(),
            metrics = self.metrics_table(),
        ))
    }

    /// Architecture, input and output.
    fn sizes(&self) -> String {
        let [height, width] = self.image;
        let fit = if self.crop { "cropped to that aspect" } else { "squashed to that aspect" };
        let dim = self.shape.dim();
        let (architecture, output) = match self.shape {
            EncoderShape::Vit(vit) => (
                format!(
                    "ViT: {} blocks, {dim} wide, {} heads, patches of {p} x {p}; pre-norm with \
                     ε = 1e-6, exact GELU, biases, learned positions",
                    vit.depth,
                    vit.heads,
                    p = vit.patch
                ),
                format!("{} tokens of {dim} numbers, the class token first", vit.tokens()),
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

    /// The metrics of the run, as a table.
    fn metrics_table(&self) -> String {
        let Some(storage::StepValues { step, values }) = &self.metrics else {
            return String::new();
        };
        let shown = |value: f64| match value.abs() < 1e-3 && value != 0.0 {
            true => format!("{value:.3e}"),
            false => format!("{value:.4}"),
        };
        let rows = values.iter().map(|(name, value)| format!("| `{name}` | {} |\n", shown(*value)));
        format!(
            "## Metrics\n\n\
             Measured by the run at step {step}, on the clips that it trained on. There is no \
             held-out data and no label: the metrics describe the training, not how good the \
             features are for another task.\n\n\
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
        let (EncoderShape::Vit(vit), Layout::Dinov2) = (self.shape, self.layout) else {
            return timm;
        };
        let (patch, dim, depth, heads) = (vit.patch, vit.dim, vit.depth, vit.heads);
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

/// The config without what is private: its streams, and where its files are. With it, the number
/// of streams in words.
fn public_config(config: &str) -> anyhow::Result<(Table, String)> {
    let mut table: Table = toml::from_str(config).context("the run's config is not TOML")?;
    table.remove("storage");
    let encoder = table.get_mut("model").and_then(|model| model.get_mut("encoder"));
    if let Some(Value::String(weights)) = encoder.and_then(|encoder| encoder.get_mut("weights")) {
        *weights = weights.rsplit('/').next().unwrap_or_default().to_owned();
    }
    let pipeline = table.get_mut("pipeline").and_then(|pipeline| pipeline.as_table_mut());
    let streams = pipeline.and_then(|pipeline| pipeline.remove("stream"));
    let count = streams.and_then(|streams| streams.as_array().map(Vec::len)).unwrap_or_default();
    let streams = if count == 1 { "one stream".into() } else { format!("{count} streams") };
    Ok((table, streams))
}

fn front_matter(method: &str) -> String {
    let tags = ["image-feature-extraction", "self-supervised-learning", "video", "onward", method];
    let tags = tags.map(|tag| format!("- {tag}\n")).concat();
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
        let (table, streams) = public_config(config).unwrap();
        let wanted =
            "[model.encoder]\nweights = \"vit.safetensors\"\n\n[pipeline]\nsize = [8, 8]\n";
        assert_eq!(toml::to_string(&table).unwrap(), wanted);
        assert_eq!(streams, "one stream");
    }
}
