"""The shipped model of several languages on posts that leave no doubt, one of each kind a language."""

from collections.abc import Sequence

import pytest

from models.engine import Engine
from models.manifest import load_manifest
from models.store import WEIGHTS
from schemas.labels import INTENTS

MULTI = WEIGHTS / "multi-1"
POSTS = {
    "ar": ("الطرد ما وصل من أسبوعين ومحد يرد علي", "شكرا لكم، خدمة ممتازة", "كيف أغير عنوان التوصيل؟"),
    "de": (
        "Mein Paket ist seit drei Wochen weg und keiner antwortet",
        "Super Service, danke euch!",
        "Wie ändere ich die Adresse?",
    ),
    "en": (
        "my parcel is three weeks late and nobody answers",
        "great service, thank you!",
        "how do I change my address?",
    ),
    "es": (
        "mi paquete lleva tres semanas perdido y nadie contesta",
        "¡excelente servicio, gracias!",
        "¿cómo cambio la dirección?",
    ),
    "fr": (
        "mon colis est perdu depuis trois semaines, personne ne répond",
        "super service, merci !",
        "comment changer mon adresse ?",
    ),
    "hi": ("मेरा पार्सल तीन हफ्ते से नहीं आया और कोई जवाब नहीं देता", "बहुत बढ़िया सेवा, धन्यवाद!", "पता कैसे बदलूं?"),
    "id": (
        "paket saya sudah tiga minggu belum sampai, tidak ada yang jawab",
        "pelayanan mantap, terima kasih!",
        "cara ganti alamat gimana?",
    ),
    "it": (
        "il mio pacco è disperso da tre settimane e nessuno risponde",
        "ottimo servizio, grazie!",
        "come cambio l'indirizzo?",
    ),
    "ja": (
        "荷物が三週間届かないのに誰も返事をくれない",
        "素晴らしい対応でした、ありがとう！",
        "住所の変更はどうすればいいですか？",
    ),
    "nl": (
        "mijn pakket is al drie weken zoek en niemand reageert",
        "top service, bedankt!",
        "hoe wijzig ik mijn adres?",
    ),
    "pl": (
        "moja paczka zaginęła trzy tygodnie temu i nikt nie odpowiada",
        "świetna obsługa, dzięki!",
        "jak zmienić adres?",
    ),
    "pt": (
        "minha encomenda sumiu há três semanas e ninguém responde",
        "ótimo atendimento, obrigado!",
        "como mudo o endereço?",
    ),
    "tr": (
        "kargom üç haftadır gelmedi ve kimse cevap vermiyor",
        "harika hizmet, teşekkürler!",
        "adresi nasıl değiştiririm?",
    ),
}


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine.load(MULTI, threads=1)


def intents(engine: Engine, posts: Sequence[str]) -> list[str]:
    return [INTENTS[max(range(len(INTENTS)), key=one.intents.__getitem__)] for one in engine.score(posts)]


@pytest.mark.parametrize("language", POSTS)
def test_a_complaint_praise_and_a_question_are_told_apart_in(engine: Engine, language: str) -> None:
    assert intents(engine, POSTS[language]) == ["complaint", "praise", "question"]


def test_it_was_measured_in_these_languages_and_fits_into_what_ships() -> None:
    manifest = load_manifest(MULTI)
    assert sorted(manifest.languages) == sorted(POSTS)
    assert sum((MULTI / name).stat().st_size for name in manifest.files) < 60_000_000


def test_a_danger_is_urgent_in_any_language_and_praise_is_not(engine: Engine) -> None:
    dangers = [
        "da kommt gas aus eurer therme und die notrufnummer geht nicht",
        "huele a gas en mi casa y nadie de la empresa contesta",
    ]
    assert all(one.urgent >= engine.urgent_threshold for one in engine.score(dangers))
    assert all(one.urgent < engine.urgent_threshold for one in engine.score([posts[1] for posts in POSTS.values()]))
