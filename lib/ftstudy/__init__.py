"""Why is a fine-tuned reply model worse, or better, than its base? The folders are the study's rooms.

chat_format/       an example becomes messages, token ids and a loss mask: the one place for all stages
sources/           chat exports become one table of messages
privacy/           names, numbers and addresses are masked
extract/           messages become reply pairs, and these become training data
record/            what an app sends to its server
audit/             would this run be wasted?
training/          one run from a config, or several
compare/           the models under prompt formats
diagnosis/         what is wrong, what it costs, what to do first
report/            the page, its tables and charts
original_report/   the situation of the original report, staged again
models/ engine/    where a model is loaded from, and how MLX is made fast on a CPU
demo/ cli/         the built-in demo, and the command line
"""

__version__ = "0.1.0"
