"""What the audit's findings mean for a run: those with one reason become one cause.

A check that is not named here is a cause by itself. A new check needs no line here unless it shares its reason with
others, or makes the run void.
"""

from ..audit.findings import SEVERITIES

VOID = {
    "no_rows": (
        "data.missing",
        "data.empty",
        "data.no_train",
        "data.zero_bytes",
        "data.fewer_than_batch",
        "config.hf_dataset",
    ),
    "base_model_unusable": (
        "model.damaged",
        "model.code",
        "model.unsupported",
        "model.tensors",
        "model.quantization",
        "config.path",
    ),
    "no_chat_template": ("model.no_template",),
    "config_refused": (
        "config.type",
        "config.fine_tune_type",
        "config.optimizer",
        "config.lora_incomplete",
        "config.lora_keys",
        "config.num_layers",
        "config.lr_schedule_invalid",
        "config.study_block",
    ),
    "rows_refused": (
        "data.bad_json",
        "data.blank_line",
        "data.mixed_schemas",
        "data.bad_messages",
        "data.roles",
        "loss.template_refuses",
    ),
    "adapter_of_another_base": ("adapter.base_model", "adapter.missing_tensors", "adapter.keys"),
    "adapter_of_another_run": ("adapter.two_runs", "adapter.config_newer", "adapter.contract"),
    "adapter_unusable": ("adapter.unreadable", "adapter.format", "adapter.nan"),
    "nothing_trained": (
        "config.train_off",
        "config.lora_scale",
        "config.grad_accumulation",
        "loss.nothing_trained",
        "loss.nan_batch",
        "data.last_role",
        "adapter.zero_b",
        "adapter.no_effect",
    ),
    "fused_model_wrong": (
        "fused.unreadable",
        "fused.is_base",
        "fused.other_base",
        "fused.other_scale",
        "fused.other_adapter",
        "fused.config_differs",
        "fused.adapter_left_in",
    ),
}
"""What makes a run void, in the order in which one hides the next: a cause -> the checks whose errors say so."""

KNOWN = {
    "learning_rate": ("config.learning_rate", "config.lr_schedule"),
    "templated_content": ("data.templated", "data.control_tokens"),
    "content_not_written": ("data.content_form", "data.tool_calls", "data.thoughts"),
    "speaker_tags": ("data.speaker_tag",),
    "replies_cut": ("loss.truncated",),
    "end_untrained": ("loss.end_of_turn", "model.untrained_end"),
    "printed_messages": ("data.printed_messages",),
    "prompt_trained": ("loss.on_prompt",),
    "prompt_not_prefix": ("loss.prompt_not_prefix",),
    "empty_turns": ("data.empty_reply", "data.empty_user"),
    "settings_ignored": ("config.unknown_key", "config.dead_key", "config.duplicate_key", "config.lora_alpha"),
    "same_rows": ("data.duplicates", "data.dominating_reply", "data.near_duplicates"),
    "splits_leak": (
        "splits.exact_duplicate",
        "splits.near_duplicate",
        "splits.reply_in_context",
        "splits.same_session",
        "splits.same_conversation",
    ),
    "system_texts": ("data.system_prompts", "data.system_differs"),
    "prompt: system": ("parity.system_text", "parity.default_system"),
    "prompt: user": ("parity.user_wrapper",),
    "prompt: earlier turns": ("parity.earlier_replies", "parity.prompt_cut"),
    "prompt: header": ("parity.role_header", "app.hard_coded_tokens"),
    "prompt: white space": ("parity.whitespace",),
    "prompt: end": ("parity.end_of_prompt",),
    "prompt: BOS": ("parity.bos", "loss.doubled_start"),
    "fusing": ("fused.update",),
    "server_does_not_stop": ("parity.stop_missing",),
    "too_many_epochs": ("config.epochs",),
}
"""What is known to matter, the likeliest first: a cause -> its checks."""

EVIDENCE = 3  # lines of each finding; the audit has all
ABOUT_MEASURING = ("splits_leak",)  # they spoil the measurement, not the model
_OF_CHECK = {check: (name, "known") for name, checks in KNOWN.items() for check in checks}
_VOID_OF_CHECK = {check: (name, "void") for name, checks in VOID.items() for check in checks}


def causes(findings: list[dict]) -> list[dict]:
    """The causes that findings name, each cause once, and the findings that are mere facts as notes.

    `findings`: as in findings.json. A cause's `what`, `fix` and `evidence` are those of its worst finding; the titles
    of its others become evidence, and the fixes of those of the same check are added to its own.
    """
    made = {}
    for one in sorted(findings, key=lambda found: SEVERITIES.index(found["severity"])):
        name, kind = cause_of(one)
        if name not in made:
            made[name] = {
                "id": name,
                "what": one["title"],
                "evidence": [f"{one['check']}: {line}" for line in _first(one["evidence"])]
                or [f"{one['check']} says so."],
                "cost": None,
                "certainty": "certain",
                "kind": kind,
                "severity": one["severity"],
                "fix": one["fix"],
                "checks": [],
            }
        else:
            made[name]["evidence"].append(f"{one['check']}: {one['title']}")
            if one["check"] == made[name]["checks"][0] and one["fix"] not in made[name]["fix"]:  # of another setting
                made[name]["fix"] += f" {one['fix']}"
        if one["check"] not in made[name]["checks"]:
            made[name]["checks"].append(one["check"])
    return list(made.values())


def cause_of(finding: dict) -> tuple[str, str]:
    """A finding's cause and kind: an error may make the run void, an info is a note."""
    check, severity = finding["check"], finding["severity"]
    if severity == "info":
        return check, "note"
    if severity == "error" and check in _VOID_OF_CHECK:
        return _VOID_OF_CHECK[check]
    return _OF_CHECK.get(check, (check, "known"))


def place(cause: dict) -> tuple:
    """Where a cause ranks among those without a telling cost."""
    order = [*VOID, *KNOWN]
    return (
        SEVERITIES.index(cause["severity"]),
        order.index(cause["id"]) if cause["id"] in order else len(order),
    )


def _first(lines: list[str]) -> list[str]:
    """The first few lines of a finding's evidence; where there are more, "…" says so."""
    return lines[:EVIDENCE] + ["…"] * (len(lines) > EVIDENCE)
