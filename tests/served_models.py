"""What Ollama and llama.cpp serve, for tests: GGUF files written by llama.cpp's own package, and Ollama templates."""

import gguf

# Written for these tests in the forms that Ollama's library uses.
CHATML_ONCE = """\
{{- if .System }}<|im_start|>system
{{ .System }}<|im_end|>
{{ end }}{{ if .Prompt }}<|im_start|>user
{{ .Prompt }}<|im_end|>
{{ end }}<|im_start|>assistant
{{ .Response }}<|im_end|>
"""
CHATML_MESSAGES = """\
{{- range $i, $_ := .Messages }}<|im_start|>{{ .Role }}
{{ .Content }}<|im_end|>
{{ if eq (len (slice $.Messages $i)) 1 }}<|im_start|>assistant
{{ end }}
{{- end }}"""
GEMMA = """\
{{- range .Messages }}<start_of_turn>{{ if eq .Role "assistant" }}model{{ else }}{{ .Role }}{{ end }}
{{ .Content }}<end_of_turn>
{{ end }}<start_of_turn>model
"""


def write_gguf(path, tokenizer, template=None, add_bos=None, eos=None, **texts):
    """A GGUF with a tokenizer's vocabulary and special tokens, and no weights; returns its path."""
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name(texts.get("name", "Robin"))
    writer.add_context_length(2048)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(texts.get("pre", "smollm"))
    writer.add_token_list([tokenizer.decode([number]) for number in range(len(tokenizer))])
    writer.add_token_types([gguf.TokenType.NORMAL] * len(tokenizer))
    if tokenizer.bos_token_id is not None:
        writer.add_bos_token_id(tokenizer.bos_token_id)
    writer.add_eos_token_id(tokenizer.convert_tokens_to_ids(eos) if eos else tokenizer.eos_token_id)
    if add_bos is not None:
        writer.add_add_bos_token(add_bos)
    if template:
        writer.add_chat_template(template)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    return path
