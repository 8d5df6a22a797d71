"""``cdistrim devnet``: a development chain by hand."""

from __future__ import annotations

from pathlib import Path

import typer

from cdistrim.errors import UsageError

__all__ = ["app"]

app = typer.Typer(help="Start, stop and look at a development chain.", no_args_is_help=True)

DIRECTORY = typer.Argument(Path("runs/devnet"), help="Where the chain keeps its state.")


@app.command()
def start(
    directory: Path = DIRECTORY,
    port: int = typer.Option(
        0, min=0, max=65535, help="TCP port on 127.0.0.1; 0 takes a free one."
    ),
) -> None:
    """Start a chain that goes on in the background, with the state it had."""
    from cdistrim.devnet import Devnet

    status = Devnet(directory, port=port, detached=True).start()
    typer.echo(f"{status.url}  chain id {status.chain_id}  state in {directory}")


@app.command()
def stop(directory: Path = DIRECTORY) -> None:
    """Save the state and stop the chain."""
    from cdistrim.devnet import Devnet

    if not directory.is_dir():
        raise UsageError(f"There is no {directory}.", hint="Give the directory of a devnet.")
    devnet = Devnet(directory)
    if not devnet.known:
        raise UsageError(
            f"{directory} is no devnet's directory.", hint="Give the one that it was started with."
        )
    ran = devnet.status() is not None
    devnet.stop()  # Also what does not answer, or was left by a killed supervisor.
    if ran:
        typer.echo(f"The devnet in {directory} is stopped; its state is kept.")
    else:
        typer.echo(f"No devnet answered in {directory}; now none runs there.")


@app.command()
def status(directory: Path = DIRECTORY) -> None:
    """Say where the chain is."""
    from cdistrim.devnet import Devnet

    found = Devnet(directory).status()
    if found is None:
        typer.echo(f"No devnet runs in {directory}.")
        raise typer.Exit(11)
    typer.echo(f"{found.url}  chain id {found.chain_id}")
