//! Turns GStreamer's messages into problems that a person can act on.

use gstreamer::{self as gst, prelude::*};

use super::pipeline::NO_VIDEO;
use crate::{Problem, config::Revealed};

/// What is known from earlier messages.
#[derive(Debug, Default)]
pub(super) struct BusListener {
    /// Name of the first decoder that is missing.
    missing: Option<String>,
}

impl BusListener {
    /// Takes one message. Returns the problem if it ends the pipeline. `started` says whether there
    /// was a frame already.
    pub(super) fn take(
        &mut self,
        message: &gst::Message,
        address: &Revealed,
        started: bool,
    ) -> Option<Problem> {
        match message.view() {
            gst::MessageView::Application(it) if it.structure()?.name() == NO_VIDEO => {
                Some(self.missing().unwrap_or(Problem::NoVideo))
            }
            gst::MessageView::Element(it) => {
                self.missing = self.missing.take().or_else(|| missing_decoder(it.structure()?));
                None
            }
            gst::MessageView::Error(it) => Some(self.problem(it, address, started)),
            _ => None,
        }
    }

    fn missing(&self) -> Option<Problem> {
        self.missing.clone().map(Problem::MissingDecoder)
    }

    fn problem(&self, message: &gst::message::Error, address: &Revealed, started: bool) -> Problem {
        let error = message.error();
        let text = text(message, address);
        if started {
            return Problem::Decode { element: element(message), message: text };
        }
        if let Some(missing) = self.missing() {
            return missing;
        }
        if error.matches(gst::StreamError::TypeNotFound)
            || error.matches(gst::StreamError::WrongType)
        {
            return Problem::NotMedia(text);
        }
        if error.matches(gst::StreamError::Demux) {
            return Problem::NoIndex;
        }
        let remote = !address.as_str().starts_with("file:");
        // An HTTP source that cannot connect reports only that its task failed.
        let source = error.is::<gst::ResourceError>()
            || remote && (error.is::<gst::CoreError>() || error.matches(gst::StreamError::Failed));
        if source {
            return Problem::Unreachable(text);
        }
        Problem::Decode { element: element(message), message: text }
    }
}

/// Name of the decoder or demuxer that a message reports missing.
fn missing_decoder(structure: &gst::StructureRef) -> Option<String> {
    let missing = structure.name() == "missing-plugin" && structure.get("type") == Ok("decoder");
    missing.then(|| structure.get("name").ok()).flatten()
}

/// Kind of the element that sent a message, as in `qtdemux`.
fn element(message: &gst::message::Error) -> String {
    let element = message.src().and_then(|it| it.downcast_ref::<gst::Element>());
    let factory = element.and_then(gst::Element::factory);
    factory.map_or_else(|| "GStreamer".into(), |it| it.name().into())
}

/// The message and its last detail in one line, without secrets.
fn text(message: &gst::message::Error, address: &Revealed) -> String {
    let error = message.error();
    let headline = error.message().trim_end_matches('.');
    let debug = message.debug().unwrap_or_default();
    // Lines that name an object and a function are places in GStreamer's own code.
    let is_place = |line: &&str| line.contains(".c(") && line.contains("): ");
    let detail = debug.lines().rfind(|it| !is_place(it)).unwrap_or_default();
    let detail = detail.trim().trim_end_matches('.');
    let text = if detail.is_empty() || detail.contains(headline) {
        headline.to_owned()
    } else {
        format!("{headline}: {detail}")
    };
    address.redact(&text)
}
