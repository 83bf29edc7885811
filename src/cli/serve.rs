//! `nowcast serve`: the server, until it is told to stop.

use super::url::{Urls, host};
use super::{Cli, Failure, Listen, load};
use crate::app;

pub(super) fn run(cli: &Cli, listen: &Listen) -> Result<(), Failure> {
    let config = load(cli, listen)?;
    let reload = || {
        load(cli, listen).map_err(|failure| match failure {
            Failure::Config(faults) => {
                faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
            }
            Failure::Failed(error) => format!("{error:#}"),
            Failure::Usage(message) => message,
        })
    };
    app::runtime()?.block_on(async {
        let server = app::Server::start(app::with_default_stream(config)?).await?;
        let config = server.config();
        let (srt, http, ops) = (config.srt.listen, config.http.listen, config.ops.listen);
        tracing::info!(%srt, %http, %ops, "listening");
        for stream in &config.streams {
            let urls = Urls::new(&config, stream, &host(&config));
            // The key is a secret: the address to paste is for `nowcast url`, but for the stream made by itself.
            if server.made_key() {
                tracing::info!(stream = %stream.name, publish = urls.srt, watch = urls.watch, "ready");
            } else {
                tracing::info!(stream = %stream.name, watch = urls.watch, "ready");
            }
        }
        server.run(reload).await;
        Ok(())
    })
}
