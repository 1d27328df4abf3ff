//! What GStreamer says on its bus, as a problem that a person can act on.

use gstreamer::{self as gst, prelude::*};

use super::{elements::is_video, items::credentials};
use crate::Problem;

/// What the bus has said so far.
#[derive(Debug, Default)]
pub(super) struct Heard {
    /// Whether the streams of the newest collection include video; they may arrive one by one.
    video: Option<bool>,
    /// Name of the first decoder that is missing.
    missing: Option<String>,
}

impl Heard {
    /// Takes one message; gives the problem if it is the end of the pipeline.
    pub(super) fn take(&mut self, message: &gst::Message, uri: &str) -> Option<Problem> {
        match message.view() {
            gst::MessageView::StreamCollection(it) => {
                self.video = Some(it.stream_collection().iter().any(|it| is_video(&it)));
                None
            }
            gst::MessageView::Element(it) => {
                let missing = it.structure().filter(|it| it.name() == "missing-plugin");
                let name = missing.and_then(|it| it.get::<String>("name").ok());
                self.missing = self.missing.take().or(name);
                None
            }
            gst::MessageView::Error(it) => Some(self.problem(it, uri)),
            _ => None,
        }
    }

    /// What an end without a frame means.
    pub(super) fn no_frames(&self) -> Problem {
        match (&self.missing, self.video) {
            (Some(name), _) => Problem::MissingDecoder(name.clone()),
            (None, Some(false)) => Problem::NoVideo,
            (None, _) => Problem::NoFrames,
        }
    }

    fn problem(&self, message: &gst::message::Error, uri: &str) -> Problem {
        let error = message.error();
        let text = text(message, uri);
        if let Some(name) = &self.missing {
            return Problem::MissingDecoder(name.clone());
        }
        if self.video == Some(false) {
            return Problem::NoVideo;
        }
        if error.matches(gst::StreamError::TypeNotFound)
            || error.matches(gst::StreamError::WrongType)
        {
            return Problem::NotMedia(text);
        }
        if error.matches(gst::StreamError::Demux) && self.video.is_none() {
            return Problem::NoIndex;
        }
        if error.is::<gst::ResourceError>() && self.video.is_none() {
            return Problem::Unreachable(text);
        }
        let element = message.src().map(|it| it.name().to_string()).unwrap_or_default();
        Problem::Decode { element, message: text }
    }
}

/// The message and its last detail in one line, without credentials.
fn text(message: &gst::message::Error, uri: &str) -> String {
    let error = message.error();
    let headline = error.message().trim_end_matches('.');
    let debug = message.debug().unwrap_or_default();
    let detail = debug.lines().last().unwrap_or_default().trim().trim_end_matches('.');
    let text = if detail.is_empty() || detail.contains(headline) {
        headline.to_owned()
    } else {
        format!("{headline}: {detail}")
    };
    match credentials(uri) {
        Some(secret) => text.replace(secret, ""),
        None => text,
    }
}
