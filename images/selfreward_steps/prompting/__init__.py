"""Writing of new prompts: few-shot requests, Self-Instruct's filters and ROUGE-L."""
