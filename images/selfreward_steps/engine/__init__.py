"""What runs inside the processes of vLLM, so that one engine serves model after model (`serving.keep`)."""
