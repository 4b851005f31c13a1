"""`python -m selfreward_steps STEP`, `fetch` for a server's init container, `agent` for a kept one's companion."""

import sys


def main() -> int:
    """Run what the arguments name; returns the exit code."""
    arguments = sys.argv[1:]
    if arguments in (["--help"], ["-h"]):
        print(_usage())
        return 0
    if arguments == ["fetch"]:
        from selfreward_steps import fetch

        return fetch.main()
    if arguments == ["agent"]:
        from selfreward_steps.agent import main as agent

        return agent.main()
    from selfreward_steps.attempt import launch

    return launch.main(arguments)


def _usage() -> str:
    from selfreward_steps.contract import CONFIG_VARIABLE, StepName

    return (
        "usage: python -m selfreward_steps STEP | fetch | agent\n\n"
        f"Runs one step of a self-rewarding run, with its JSON configuration in {CONFIG_VARIABLE}.\n"
        f"STEP is one of {', '.join(StepName)}.\n"
        "fetch brings a model to an inference server, agent looks after one that is kept."
    )


if __name__ == "__main__":
    sys.exit(main())
