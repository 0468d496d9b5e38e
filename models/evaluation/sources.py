"""Where the real posts come from and under which terms, as their publishers state them."""

SOURCES = {
    "banking77": "PolyAI Banking77, CC BY 4.0",
    "cesamard_aspect": "CESAMARD-Aspect; annotations MIT, texts are scraped Amazon.in reviews: unclear",
    "cf_apple_sentiment": "CrowdFlower Apple Twitter Sentiment; no licence stated",
    "cf_brands_sxsw": "CrowdFlower Brands and Product Emotions; no licence stated",
    "cf_corporate_messaging": "CrowdFlower Corporate Messaging; no licence stated",
    "cf_disaster": "CrowdFlower Disasters on Social Media; no licence stated",
    "cfpb": "CFPB Consumer Complaint Database, US government work, public domain",
    "cfpb_2020": "CFPB Consumer Complaint Database, US government work, public domain",
    "cfpb_kaiburr": "CFPB Consumer Complaint Database, US government work, public domain",
    "clinc150": "CLINC150, CC BY 3.0",
    "crisislex_t26": "CrisisLexT26, MIT as published; tweets under Twitter's terms",
    "goemotions": "GoEmotions; Apache-2.0 as mirrored; Reddit comments",
    "ibm_twitter_care": "IBM Twitter customer care, Apache-2.0; tweets under Twitter's terms",
    "multidogo": "MultiDoGO, CDLA-Permissive-1.0",
    "nlupp": "NLU++, CC BY 4.0",
    "sms_spam": "SMS Spam Collection; CC BY 4.0 by UCI's listing, not confirmed",
    "xfincorp": "X-FINCORP, MIT as published; tweets under Twitter's terms",
    "xlmt_sentiment": "XLM-T sentiment; repository Apache-2.0, most of the sets in it research only: unclear",
    "youtube_spam_psy": "YouTube Spam Collection; CC BY 4.0 by UCI's listing, not confirmed",
}
"""By the `source` of the labelled posts."""

UNCLEAR = frozenset(
    (
        "cesamard_aspect",
        "cf_apple_sentiment",
        "cf_brands_sxsw",
        "cf_corporate_messaging",
        "cf_disaster",
        "xlmt_sentiment",
    )
)
"""Sources that state no licence or whose texts' terms are unclear: `CLEAR=1` trains without them."""

WRITTEN_TERMS = {
    "written": "written for this purpose, with the help of a language model",
    "written_here": "written for this purpose, with invented firms and the help of a language model (models/data/written)",
    "written_multilingual": "written for this purpose, with the help of a language model; tested on alone",
}


def terms_of(source: str) -> str:
    """Raises KeyError for a source that nobody has looked up the terms of: posts of unknown terms are not trained on."""
    return {**WRITTEN_TERMS, **SOURCES}[source]
