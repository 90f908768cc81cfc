//! What is asked of DashScope: five routes with bodies of three kinds.

use providers::OutputFormat;
use serde_json::{Map, Value};

use crate::input::{self, given, text, whole};
use crate::media::Sketch;

/// A route below `/services/aigc`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Api {
    /// Pictures at once.
    Multimodal,
    TextToImage,
    ImageToImage,
    ImageGeneration,
    Video,
    KeyFrames,
}

/// How results are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    Choices,
    Results,
    Film,
}

/// A request that is taken on. What is wrong with some of its parameters shows only at its end.
pub(super) struct Request {
    pub(super) model: String,
    pub(super) sketch: Sketch,
    pub(super) shape: Shape,
    pub(super) problem: Option<String>,
}

impl Api {
    pub(super) fn of(task: &str, function: &str) -> Option<Self> {
        match (task, function) {
            ("multimodal-generation", "generation") => Some(Self::Multimodal),
            ("text2image", "image-synthesis") => Some(Self::TextToImage),
            ("image2image", "image-synthesis") => Some(Self::ImageToImage),
            ("image-generation", "generation") => Some(Self::ImageGeneration),
            ("video-generation", "video-synthesis") => Some(Self::Video),
            ("image2video", "video-synthesis") => Some(Self::KeyFrames),
            _ => None,
        }
    }

    pub(super) fn is_inline(self) -> bool {
        self == Self::Multimodal
    }

    fn shape(self) -> Shape {
        match self {
            Self::Multimodal | Self::ImageGeneration => Shape::Choices,
            Self::TextToImage | Self::ImageToImage => Shape::Results,
            Self::Video | Self::KeyFrames => Shape::Film,
        }
    }

    /// Whether a model can be asked here.
    fn knows(self, model: &str) -> bool {
        let makes_films = is_film(model);
        let is_wan = model.starts_with("wan");
        // Since 2.6 pictures are asked for with messages.
        let old = ["wanx", "wan2.1", "wan2.2", "wan2.5"];
        let is_new_wan = is_wan && !old.iter().any(|start| model.starts_with(start));
        match self {
            Self::Multimodal => {
                let is_picture_model =
                    model.starts_with("qwen-image") || model.starts_with("z-image");
                is_picture_model || is_new_wan && !makes_films
            }
            Self::TextToImage => model.starts_with("qwen-image") || is_wan && model.contains("t2i"),
            Self::ImageToImage => is_wan && (model.contains("i2i") || model.contains("imageedit")),
            Self::ImageGeneration => is_new_wan && !makes_films,
            Self::Video => {
                let is_family = is_wan || model.starts_with("happyhorse");
                is_family && makes_films && !model.contains("kf2v")
            }
            Self::KeyFrames => is_wan && model.contains("kf2v"),
        }
    }
}

fn is_film(model: &str) -> bool {
    ["t2v", "i2v", "kf2v", "r2v", "s2v"].iter().any(|word| model.contains(word))
}

impl Shape {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Choices => "choices",
            Self::Results => "results",
            Self::Film => "film",
        }
    }

    pub(super) fn parse(text: &str) -> Self {
        match text {
            "choices" => Self::Choices,
            "film" => Self::Film,
            _ => Self::Results,
        }
    }
}

/// Reads a body, or says which code and text refuse it at once.
pub(super) fn read(api: Api, body: &Map<String, Value>) -> Result<Request, (&'static str, String)> {
    let invalid = |text: &str| ("InvalidParameter", text.to_owned());
    let model = text(body, "model").ok_or_else(|| invalid("Model not exist."))?;
    if !api.knows(model) {
        return Err(invalid("Model not exist."));
    }
    let none = Map::new();
    let object = |name: &str| body.get(name).and_then(Value::as_object).unwrap_or(&none);
    let (input, parameters) = (object("input"), object("parameters"));
    let prompt = match api.shape() {
        Shape::Choices => prompt_of_messages(input),
        Shape::Results | Shape::Film => text(input, "prompt").map(str::to_owned),
    };
    let needs_prompt = api != Api::Video && api != Api::KeyFrames || model.contains("t2v");
    if prompt.is_none() && needs_prompt {
        return Err(invalid(
            "Required parameter(prompt) missing or invalid, please check the request parameters.",
        ));
    }
    let needs_image = model.contains("i2v");
    if needs_image && given(input, "img_url").is_none() && given(input, "media").is_none() {
        return Err(invalid(
            "Required parameter(img_url) missing or invalid, please check the request parameters.",
        ));
    }
    let film = api.shape() == Shape::Film;
    let (size, problem) = size(model, film, parameters);
    let count = if film { 1 } else { whole(parameters, "n").unwrap_or(1) };
    let count_max = if model.starts_with("wan2.6") { 12 } else { 6 };
    let problem = problem.or_else(|| {
        let wrong = !(1..=count_max).contains(&count);
        wrong.then(|| format!("n must be between 1 and {count_max}"))
    });
    let seconds = whole(parameters, "duration").unwrap_or(5);
    let problem = problem.or_else(|| {
        let wrong = film && !(2..=15).contains(&seconds);
        wrong.then(|| "duration must be 5 or 10".to_owned())
    });
    Ok(Request {
        model: model.to_owned(),
        sketch: Sketch {
            prompt: prompt.unwrap_or_default(),
            seed: whole(parameters, "seed").unwrap_or(0),
            size,
            format: if film { OutputFormat::Mp4 } else { OutputFormat::Png },
            count: count.clamp(1, count_max) as u32,
            seconds: film.then_some(seconds.clamp(1, 15) as f32),
        },
        shape: api.shape(),
        problem,
    })
}

fn prompt_of_messages(input: &Map<String, Value>) -> Option<String> {
    let messages = input.get("messages")?.as_array()?;
    let content = messages.first()?.get("content")?.as_array()?;
    let texts = content.iter().filter_map(|part| part.get("text")?.as_str());
    texts.map(str::to_owned).find(|text| !text.is_empty())
}

/// The size, and what is wrong with it.
fn size(model: &str, film: bool, parameters: &Map<String, Value>) -> ((u32, u32), Option<String>) {
    let usual = match (film, model.starts_with("qwen-image")) {
        (true, _) => (1280, 720),
        (false, true) => (1328, 1328),
        (false, false) => (1024, 1024),
    };
    if let Some(tier) = text(parameters, "resolution") {
        return match input::size_of_tier((16, 9), tier) {
            Some(size) => (size, None),
            None => (usual, Some(format!("resolution {tier} is not supported"))),
        };
    }
    let Some(name) = text(parameters, "size") else { return (usual, None) };
    match input::size(name, '*') {
        Some((w, h)) if (256..=4096).contains(&w) && (256..=4096).contains(&h) => ((w, h), None),
        Some(_) | None => (usual, Some(format!("size {name} is not supported"))),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read_body(api: Api, body: Value) -> Result<Request, (&'static str, String)> {
        read(api, body.as_object().unwrap())
    }

    #[test]
    fn a_model_is_known_only_where_it_is_asked() {
        for (api, model, known) in [
            (Api::Multimodal, "qwen-image-max", true),
            (Api::Video, "wan2.5-t2v-preview", true),
            (Api::Video, "qwen-image-max", false),
            (Api::TextToImage, "wan2.5-t2i-preview", true),
            (Api::KeyFrames, "wan2.2-kf2v-flash", true),
            (Api::Multimodal, "wan2.7-image-pro", true),
            (Api::Multimodal, "wan2.5-t2i-preview", false),
            (Api::Video, "happyhorse-1.0-t2v", true),
            (Api::Multimodal, "wan2.6-t2v", false),
        ] {
            assert_eq!(api.knows(model), known, "{model}");
        }
    }

    #[test]
    fn wrong_parameters_are_taken_on_and_fail_later() {
        let body = json!({
            "model": "wan2.5-t2i-preview", "input": { "prompt": "a" },
            "parameters": { "size": "wide" },
        });
        assert!(read_body(Api::TextToImage, body).unwrap().problem.is_some());
        let body = json!({ "model": "wan2.5-t2i-preview", "input": {} });
        assert!(read_body(Api::TextToImage, body).is_err());
    }

    #[test]
    fn the_prompt_of_a_message_is_its_first_text() {
        let content = json!([{ "image": "https://a.b/c" }, { "text": "a fox" }]);
        let body = json!({
            "model": "qwen-image-edit",
            "input": { "messages": [{ "role": "user", "content": content }] },
        });
        let request = read_body(Api::Multimodal, body).unwrap();
        assert_eq!((request.sketch.prompt.as_str(), request.sketch.size), ("a fox", (1328, 1328)));
    }
}
