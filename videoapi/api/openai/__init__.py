"""OpenAI's video API (https://platform.openai.com/docs/api-reference/videos), for the clients that speak it."""
