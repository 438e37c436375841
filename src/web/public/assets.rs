//! The static files: in the binary, under names that carry their content's hash, compressed once. A name is never reused
//! for other bytes, so browsers may keep them for ever.

use std::io::Write;
use std::sync::LazyLock;

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, web};

/// One file with all that is ever sent of it.
#[derive(Debug)]
pub struct Asset {
    /// `/static/app.0123456789abcdef.css`
    pub url: String,
    content_type: &'static str,
    hash: String,
    plain: &'static [u8],
    gzip: Vec<u8>,
    brotli: Vec<u8>,
}

#[derive(Debug)]
pub struct Assets {
    pub css: Asset,
    pub js: Asset,
    pub icon: Asset,
}

static ASSETS: LazyLock<Assets> = LazyLock::new(|| Assets {
    css: Asset::new(
        "app",
        "css",
        "text/css; charset=utf-8",
        include_bytes!("../../../static/app.css"),
    ),
    js: Asset::new(
        "app",
        "js",
        "text/javascript; charset=utf-8",
        include_bytes!("../../../static/app.js"),
    ),
    icon: Asset::new(
        "icon",
        "svg",
        "image/svg+xml",
        include_bytes!("../../../static/icon.svg"),
    ),
});

/// Constant data of this build, made at first use; the program's start calls it so that no request pays for it.
pub fn assets() -> &'static Assets {
    &ASSETS
}

impl Asset {
    fn new(stem: &str, extension: &str, content_type: &'static str, plain: &'static [u8]) -> Self {
        let hash: String = blake3::hash(plain).to_hex().chars().take(16).collect();
        Self {
            url: format!("/static/{stem}.{hash}.{extension}"),
            content_type,
            hash,
            plain,
            gzip: gzip(plain),
            brotli: brotli(plain),
        }
    }

    /// The smallest form the client takes. Each form has its own strong tag.
    fn negotiate(&self, accepted: &str) -> (&[u8], Option<&'static str>, String) {
        if accepts(accepted, "br") {
            (&self.brotli, Some("br"), format!("\"{}-br\"", self.hash))
        } else if accepts(accepted, "gzip") {
            (&self.gzip, Some("gzip"), format!("\"{}-gz\"", self.hash))
        } else {
            (self.plain, None, format!("\"{}\"", self.hash))
        }
    }
}

/// Does an `Accept-Encoding` list allow this coding? (`q=0` refuses it.)
pub(in crate::web) fn accepts(list: &str, coding: &str) -> bool {
    list.split(',').any(|item| {
        let mut parts = item.split(';').map(str::trim);
        parts.next().is_some_and(|name| name.eq_ignore_ascii_case(coding))
            && !parts.any(|part| matches!(part.strip_prefix("q=").map(str::parse::<f32>), Some(Ok(q)) if q <= 0.0))
    })
}

/// Writing to memory cannot fail; were it to, the plain bytes would still be right, and `identity` is what is left.
fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder
        .write_all(plain)
        .and_then(|()| encoder.finish())
        .unwrap_or_default()
}

fn brotli(plain: &[u8]) -> Vec<u8> {
    let mut packed = Vec::new();
    let mut encoder = brotli::CompressorWriter::new(&mut packed, 4096, 11, 20);
    let written = encoder.write_all(plain).and_then(|()| encoder.flush());
    drop(encoder);
    written.map(|()| packed).unwrap_or_default()
}

/// `GET /static/{name}`
pub async fn serve(request: HttpRequest, name: web::Path<String>) -> HttpResponse {
    let all = assets();
    let wanted = format!("/static/{name}");
    let Some(asset) = [&all.css, &all.js, &all.icon]
        .into_iter()
        .find(|asset| asset.url == wanted)
    else {
        return HttpResponse::new(StatusCode::NOT_FOUND);
    };
    let header_text = |name| {
        request
            .headers()
            .get(name)
            .and_then(|value: &HeaderValue| value.to_str().ok())
            .unwrap_or("")
    };
    let (bytes, coding, tag) = asset.negotiate(header_text(header::ACCEPT_ENCODING));
    let known = header_text(header::IF_NONE_MATCH)
        .split(',')
        .any(|old| old.trim() == tag || old.trim() == "*");
    let mut answer = if known {
        HttpResponse::NotModified()
    } else {
        HttpResponse::Ok()
    };
    answer
        .insert_header((header::CACHE_CONTROL, "public, max-age=31536000, immutable"))
        .insert_header((header::ETAG, tag))
        .insert_header((header::VARY, "Accept-Encoding"));
    if known {
        return answer.finish();
    }
    // Always named, `identity` too, so that the compressing layer leaves it alone.
    answer
        .insert_header((header::CONTENT_ENCODING, coding.unwrap_or("identity")))
        .content_type(asset.content_type)
        .body(bytes.to_vec())
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn files_keep_their_budget_and_unpack_to_themselves() {
        let all = assets();
        for (asset, most) in [(&all.css, 6 * 1024), (&all.js, 3 * 1024), (&all.icon, 1024)] {
            assert!(
                asset.gzip.len() <= most,
                "{}: {} bytes of gzip",
                asset.url,
                asset.gzip.len()
            );
            let mut text = Vec::new();
            flate2::read::GzDecoder::new(asset.gzip.as_slice())
                .read_to_end(&mut text)
                .unwrap();
            assert_eq!(text, asset.plain);
            let mut text = Vec::new();
            brotli::Decompressor::new(asset.brotli.as_slice(), 4096)
                .read_to_end(&mut text)
                .unwrap();
            assert_eq!(text, asset.plain);
        }
    }

    #[test]
    fn coding_is_chosen_by_the_client() {
        assert!(accepts("gzip, deflate, br;q=0.5", "br"));
        assert!(!accepts("gzip, br;q=0", "br"));
        assert!(!accepts("", "gzip"));
        assert!(!accepts("brave", "br"));
    }

    #[test]
    fn script_and_style_keep_to_the_policy() {
        let script = std::str::from_utf8(assets().js.plain).unwrap();
        for sink in [
            "innerHTML",
            "outerHTML",
            "insertAdjacent",
            "document.write",
            "eval(",
            "new Function",
            ".style",
        ] {
            assert!(!script.contains(sink), "{sink}");
        }
        let style = std::str::from_utf8(assets().css.plain).unwrap();
        assert!(!style.contains("url(") && !style.contains("@import"));
    }
}
