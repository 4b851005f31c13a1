"""`python -m selfreward_steps STEP`, `fetch` for a server's init container, `agent` for a kept one's companion."""

import sys


def main() -> int:
    """Run what the arguments name; returns the exit code."""
    arguments = sys.argv[1:]
    if arguments == ["fetch"]:
        from selfreward_steps import fetch

        return fetch.main()
    if arguments == ["agent"]:
        from selfreward_steps.agent import main as agent

        return agent.main()
    from selfreward_steps.attempt import launch

    return launch.main(arguments)


if __name__ == "__main__":
    sys.exit(main())
