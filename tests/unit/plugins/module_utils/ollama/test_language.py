# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible_collections.edgellm.host.plugins.module_utils.ollama import language

SENTENCES = {
    "ar": "الماء يغلي عند مئة درجة مئوية، والثلج يذوب عند الصفر.",
    "el": "Η Αθήνα είναι η πρωτεύουσα της Ελλάδας.",
    "en": "The highest mountain of Japan is Mount Fuji.",
    "he": "ירושלים היא עיר עתיקה מאוד, ויש בה שווקים רבים.",
    "hi": "भारत की राजधानी नई दिल्ली है, और यहाँ बहुत लोग रहते हैं।",
    "ja": "日本で一番高い山は富士山です。",
    "ko": "대한민국의 수도는 서울이고, 한강이 그 가운데를 흐릅니다.",
    "ru": "Столица России — Москва, а самая длинная река — Лена.",
    "th": "กรุงเทพมหานครเป็นเมืองหลวงของประเทศไทย",
    "zh": "中国的首都是北京，人口超过两千万。",
}


def test_there_is_a_sentence_for_every_language():
    assert sorted(SENTENCES) == list(language.LANGUAGES)


@pytest.mark.parametrize("said", SENTENCES)
@pytest.mark.parametrize("wanted", SENTENCES)
def test_sentence_passes_for_its_own_language_alone(said, wanted):
    assert (language.judge(SENTENCES[said], wanted) is None) is (said == wanted)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("GPUサーバーではOllamaのコンテナがqwen2.5:7b-instructを提供しています。", "ja"),
        ("はい。", "ja"),
        ("東京都は日本国の首都であり、世界最大の都市圏人口を有する。", "ja"),
        ("ﾊﾛｰ､ﾜｰﾙﾄﾞ", "ja"),
        ("コーヒー、コーラ、ジュース", "ja"),
        ("人々は時々𠮷野家に行く", "ja"),
        ("我们在东京的「ドン」买了很多东西，然后回到北京的家里休息了一整天。", "zh"),
        ("我用 Ollama 和 Docker 在本地运行大型语言模型。", "zh"),
        ("Ollama는 로컬에서 모델을 실행하는 도구입니다.", "ko"),
        ("Это сервер с Ollama и Docker, он отвечает по-русски.", "ru"),
        ("Ударе́ние в слове", "ru"),
        ("می‌خواهم کتاب بخوانم", "ar"),
        ("１００％ ＦＵＬＬ ｗｉｄｔｈ ｌｅｔｔｅｒｓ", "en"),
        ("naïve café, Zürich, Łódź", "en"),
    ],
)
def test_foreign_words_marks_and_other_forms_do_no_harm(text, code):
    assert language.judge(text, code) is None


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("La capitale de la France est Paris.", "en"),
        ("Столиця України — Київ.", "ru"),
        ("تهران پایتخت ایران است.", "ar"),
        ("मुंबई ही महाराष्ट्राची राजधानी आहे", "hi"),
    ],
)
def test_languages_of_one_script_are_not_told_apart(text, code):
    assert language.judge(text, code) is None


@pytest.mark.parametrize(
    ("text", "code", "complaint"),
    [
        ("42 + 1 = 43 🗻", "ja", "has no letters that could be Japanese"),
        ("", "en", "has no letters that could be English"),
        ("I am Qwen.", "ja", "is not Japanese but 100% Latin"),
        (
            "私はQwenです。I am a language model by Alibaba.",
            "ja",
            "is not Japanese but 67% Latin, ",
        ),
        (SENTENCES["zh"], "ja", "is not Japanese, which has kana in it, but 100% Han"),
        (SENTENCES["ja"], "zh", "is not Chinese, which has no kana in it, but 64% Han, 36% kana"),
        ("ᏣᎳᎩ ᎦᏬᏂᎯᏍᏗ", "ru", "is not Russian but 100% other"),
    ],
)
def test_complaint_says_what_was_found(text, code, complaint):
    said = language.judge(text, code)
    assert said is not None
    assert said.startswith(complaint)


def test_shares_count_words_and_the_letters_of_scripts_without_blanks():
    assert language.shares("two words 山とa") == {"Latin": 0.6, "Han": 0.2, "kana": 0.2}
    assert language.shares("1, 2, 3!") == {}
