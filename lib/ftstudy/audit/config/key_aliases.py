"""What other trainers call mlx-lm's config keys, and which of its keys a name was meant to be."""

from collections import Counter
from difflib import get_close_matches

from .mlx_lm_keys import installed

# What PEFT, TRL and transformers, unsloth, axolotl, LLaMA-Factory, torchtune and older versions of mlx-lm call its
# keys. A dotted alias applies only inside that block.
ALIASES = {
    "num_layers": "lora_layers layers n_layers num_lora_layers lora_num_layers layers_to_transform "
    "peft_layers_to_transform freeze_trainable_layers num_layers_to_train",
    "lora_parameters": "lora_config lora_params lora_args lora_settings lora_options peft peft_config peft_args",
    "lora_parameters.rank": "lora_rank r rank lora_r lora_dim",
    "lora_parameters.scale": "lora_alpha alpha lora_scale scale lora_scaling scaling",
    "lora_parameters.dropout": "lora_dropout dropout",
    "lora_parameters.keys": "target_modules lora_keys lora_target lora_target_modules keys modules lora_modules "
    "lora_attn_modules lora_target_linear apply_lora_to_mlp apply_lora_to_output lora_targets target_parameters",
    "iters": "epochs num_epochs num_train_epochs max_steps iterations steps num_iters n_iters max_iters n_epochs "
    "max_epochs num_steps train_steps total_steps max_steps_per_epoch num_training_steps training_steps",
    "max_seq_length": "max_seq_len max_seq max_length cutoff_len sequence_len seq_length seq_len sequence_length "
    "context_length context_size model_max_length max_tokens block_size max_sequence_length",
    "learning_rate": "lr",
    "batch_size": "micro_batch_size per_device_train_batch_size train_batch_size per_device_eval_batch_size "
    "eval_batch_size val_batch_size global_batch_size train_micro_batch_size_per_gpu",
    "grad_accumulation_steps": "gradient_accumulation_steps accumulation_steps grad_accum_steps grad_acc_steps "
    "gradient_accumulation grad_accum accumulate_grad_batches",
    "mask_prompt": "train_on_inputs train_on_input train_on_prompt train_on_completions train_on_responses_only "
    "completion_only_loss completions_only_loss assistant_only_loss completion_only train_on_completions_only "
    "prompt_mask mask_prompts mask_inputs mask_input roles_to_train response_template instruction_template",
    "lr_schedule": "lr_scheduler lr_scheduler_type scheduler schedule scheduler_type lr_schedule_type lr_decay "
    "lr_scheduler_kwargs lr_scheduler_args cosine_decay linear_schedule exponential_decay step_decay cosine_min_lr_ratio min_lr lr_end",
    "lr_schedule.name": "lr_schedule.type lr_schedule.schedule lr_schedule.scheduler",
    "lr_schedule.arguments": "lr_schedule.args lr_schedule.init lr_schedule.end lr_schedule.decay_steps "
    "lr_schedule.decay_rate lr_schedule.step_size lr_schedule.steps lr_schedule.learning_rate lr_schedule.lr",
    "lr_schedule.warmup": "warmup warmup_steps warmup_ratio warmup_iters warmup_epochs num_warmup_steps lr_warmup_steps",
    "steps_per_eval": "val_steps eval_steps eval_every eval_interval val_every evals_per_epoch eval_every_n_steps "
    "run_val_every_n_steps val_interval val_check_interval eval_freq eval_frequency",
    "steps_per_report": "logging_steps log_every log_interval log_steps log_every_n_steps report_every print_every",
    "save_every": "save_steps save_interval checkpoint_every steps_per_save saves_per_epoch save_every_n_steps "
    "checkpoint_steps checkpoint_interval save_freq save_frequency steps_per_checkpoint save_per_steps",
    "val_batches": "eval_batches max_eval_batches",
    "optimizer": "optim optimizer_type optimizer_name",
    "optimizer_config": "weight_decay betas beta1 beta2 adam_beta1 adam_beta2 adam_epsilon momentum optimizer_args "
    "optimizer_params optimizer_kwargs optim_args",
    "adapter_path": "output_dir adapter_dir adapter_file save_path output_path save_dir out_dir adapter_output_dir",
    "resume_adapter_file": "resume_from_checkpoint resume_from resume resume_adapter resume_adapter_path resume_path "
    "lora_model_dir adapter_name_or_path checkpoint_path recipe_checkpoint",
    "grad_checkpoint": "gradient_checkpointing grad_checkpointing use_gradient_checkpointing gradient_checkpoint "
    "enable_activation_checkpointing activation_checkpointing",
    "fine_tune_type": "use_dora peft_use_dora adapter finetuning_type finetune_type peft_type train_type lora use_lora "
    "dora use_peft full_finetuning tuning_type training_type",
    "report_to": "wandb metric_logger logger report_to_wandb use_wandb",
    "project_name": "wandb_project run_name name wandb_name wandb_run_name",
    "model": "base_model model_name model_name_or_path model_id model_path base_model_name_or_path pretrained_model",
    "data": "dataset datasets data_path train_data dataset_path data_dir dataset_name dataset_dir train_file train_dataset "
    "training_data validation_file valid_data val_data eval_dataset test_datasets train_path",
    "text_feature": "dataset_text_field text_field text_column text_key",
    "chat_feature": "field_messages messages_field messages_key chat_key",
    "prompt_feature": "prompt_field prompt_column prompt_key",
    "completion_feature": "completion_field completion_column completion_key response_field",
    "hf_dataset": "hf_datasets hub_dataset",
    "hf_dataset.path": "hf_dataset.name hf_dataset.id hf_dataset.dataset hf_dataset.repo",
    "hf_dataset.config": "hf_dataset.subset hf_dataset.configuration",
    "hf_dataset.train_split": "dataset_train_split hf_dataset.split",
    "hf_dataset.valid_split": "hf_dataset.val_split hf_dataset.validation_split hf_dataset.eval_split",
    "train": "do_train",
    "test": "do_predict do_test evaluate",
    "seed": "random_seed random_state data_seed",
}
ALIASED = {alias: live for live, aliases in ALIASES.items() for alias in aliases.split()}
NOTES = {
    "lora_parameters": "a block with `rank`, `scale` and `dropout`, and optionally `keys`",
    "lora_parameters.scale": "scale is what PEFT calls alpha / rank",
    "iters": "iterations of one batch each: epochs × rows / batch_size",
    "mask_prompt": "true to train only on the reply",
    "lora_parameters.keys": "a list of module names inside a layer, such as self_attn.q_proj",
    "lr_schedule.warmup": "a number of optimizer updates; lr_schedule needs `name` and `arguments` too",
    "lr_schedule": "a block with `name`, `arguments` and optionally `warmup`",
    "lr_schedule.arguments": "a list: the first rate, then the schedule's other arguments",
    "optimizer_config": "a block for each optimizer: `optimizer_config: {adamw: {weight_decay: 0.01}}`",
    "fine_tune_type": "lora, dora or full",
    "data": "a folder with train.jsonl, valid.jsonl and test.jsonl",
}


def named(key: str, section: str = "") -> str | None:
    """The live key (dotted) that `key` is, or that another trainer calls `key`."""
    word = _words(key)
    known = ALIASED.get(f"{section}.{word}") or ALIASED.get(word) or word
    return known if known in installed().live else None


def meant(key: str, section: str = "") -> str | None:
    """The live key (dotted) that `key` was probably meant to be."""
    if known := named(key, section):
        return known
    keys = installed()
    # Keys of the same section first; only names are compared, not whole paths.
    for names in (keys.section(section), keys.live) if section else (keys.live,):
        by_name = {name.split(".")[-1]: name for name in sorted(names, key=lambda name: -name.count("."))}
        close = get_close_matches(_words(key), by_name, n=1, cutoff=0.75)
        if close:
            name = by_name[close[0]]
            return f"{section}.{name}" if section and names != keys.live else name
    return None


def home(block: dict) -> str | None:
    """Where most of a block's keys belong: a section, or "" for the top level; None if most are unknown."""
    keys, places = installed(), Counter()
    for key in block:
        word = _words(key) if isinstance(key, str) else ""
        known = {name for name in keys.live if name.split(".")[-1] == word} | {named(word)} - {None}
        found = {name.rpartition(".")[0] for name in known}
        places.update(found if len(found) == 1 else ())  # a key of several blocks, such as `name`, says nothing
    if not places:
        return None
    # In a tie, the section: LoRA settings are often in one block with a number of layers.
    place, number = max(places.items(), key=lambda item: (item[1], item[0] != ""))
    return place if number * 2 > len(block) or number * 2 == len(block) and place else None


def _words(key: str) -> str:
    """`batchSize`, `batch-size` and `--batch_size` are all batch_size."""
    spread = "".join(
        f"_{letter}" if letter.isupper() and before.islower() else letter for before, letter in zip(f" {key}", key)
    )
    return spread.lower().replace("-", "_").replace(" ", "_").strip("_")
