"""Given and family names of several origins, with the everyday forms they turn into.

The lists are our own choice of common names; drawing them by rank makes same-name people as frequent as
they are in life, which is what linkage has to cope with.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_MALE = {
    "british": (
        "John David Michael James Robert William Peter Thomas George Andrew Paul Mark Stephen Richard "
        "Alan Christopher Matthew Daniel Anthony Kevin Ian Brian Martin Keith Colin Graham Kenneth "
        "Raymond Derek Philip Simon Gary Barry Neil Stuart Adam Luke Jack Harry Oliver Samuel Benjamin "
        "Joseph Edward Charles Frederick Arthur Albert Ronald Donald Dennis Roger Trevor Nigel Jonathan "
        "Timothy Nicholas Gareth Craig Lee Ryan Liam Connor Jake Callum Joshua Alexander Patrick Sean "
        "Declan Huw Alistair Lewis Dylan Noah Alfie"
    ),
    "european": (
        "Piotr Tomasz Krzysztof Andrzej Marek Giovanni Marco Antonio Francesco Jean Pierre Luc Hans "
        "Jürgen Klaus Carlos José Miguel Andrei Ion Mihai Jonas Tomas Stefan Nikolai"
    ),
    "south_asian": (
        "Mohammed Muhammad Imran Ahmed Ali Hassan Abdul Tariq Asif Bilal Usman Raj Rajesh Sanjay Vijay "
        "Anil Sunil Amit Ravi Suresh Harpreet Gurpreet Jaswinder Balbir Manjit Dinesh Kiran Arjun Rohan "
        "Nadeem"
    ),
    "african": (
        "Kwame Kofi Emeka Chidi Oluwaseun Tunde Babatunde Samuel Emmanuel Abdi Yusuf Ibrahim Musa Femi "
        "Ade Winston Desmond Clive Delroy Leroy Marcus Tendai Blessing Moses Joseph"
    ),
    "east_asian": (
        "Wei Ming Jun Hao Chen Kenji Hiroshi Minh Tuan Duc Chi-Wai Ka-Ming Jian Lei Feng Yong Sung Jin"
    ),
}
_FEMALE = {
    "british": (
        "Margaret Mary Susan Elizabeth Patricia Jean Christine Barbara Ann Carol Janet Linda Karen Julie "
        "Sarah Emma Claire Helen Catherine Jane Jennifer Alison Deborah Jacqueline Sandra Gillian Pamela "
        "Maureen Sheila Dorothy Joan Doris Joyce Irene Hilda Eileen Brenda Valerie Judith Rosemary Lesley "
        "Diane Tracey Sharon Nicola Victoria Rebecca Laura Amy Hannah Charlotte Jessica Sophie Lucy Emily "
        "Chloe Olivia Grace Katie Megan Bethany Abigail Eleanor Rachel Louise Michelle Angela Wendy "
        "Lorraine Theresa Bridget Siân Fiona Isla Poppy Ruby"
    ),
    "european": (
        "Anna Katarzyna Agnieszka Małgorzata Maria Giulia Francesca Chiara Marie Hélène Sophie Ursula "
        "Heike Carmen Lucía Elena Ioana Mihaela Ingrid Astrid Magdalena Joanna Ewa Natalia"
    ),
    "south_asian": (
        "Fatima Ayesha Aisha Khadija Zainab Nasreen Shabana Rukhsana Yasmin Saima Priya Anjali Sunita "
        "Meena Kavita Neha Pooja Lakshmi Manjit Harpreet Jaspreet Parveen Kulwinder Nisha Sangita Rekha "
        "Asma Hina"
    ),
    "african": (
        "Ama Abena Ngozi Chioma Folasade Yetunde Amina Halima Fatou Grace Blessing Patience Mercy Joy "
        "Comfort Marcia Beverley Yvonne Sharon Thandiwe Rudo Esther Hodan Ifeoma"
    ),
    "east_asian": (
        "Mei Li Ling Xiu Yan Hui Yuki Keiko Lan Huong Thuy Wing-Yan Siu-Ling Na Fang Jing Min Ji-Woo"
    ),
}
_FAMILY = {
    "british": (
        "Smith Jones Williams Taylor Brown Davies Evans Wilson Thomas Johnson Roberts Robinson Thompson "
        "Wright Walker White Edwards Hughes Green Hall Lewis Harris Clarke Jackson Clark Turner Hill "
        "Scott Cooper Morris Ward Moore King Watson Baker Harrison Morgan Patterson Young Allen Mitchell "
        "Phillips Lee Bell Parker Davis Bennett Miller Cook Shaw Cox Collins Bailey Carter Richardson "
        "Marshall Simpson Price Anderson Adams Wilkinson Foster Ellis Murphy Chapman Mason Gray Richards "
        "Webb Rogers Hunt Mills Holmes Palmer Matthews Lloyd Butler Russell Barnes Knight Stevens Jenkins "
        "Fisher Barker Dixon Fletcher O'Brien O'Neill MacDonald McCarthy Kelly Byrne Walsh Ashworth "
        "Hargreaves Pickering Thistlewood Oakley Pemberton Wolstenholme Birtwistle Entwistle Featherstone "
        "Heathcote Longbottom Murgatroyd Netherwood Ramsbottom Smith-Jones Taylor-Brown Sugden Tattersall "
        "Whitehead Winterbottom Ackroyd Bamford Cartwright Dewhurst Eccles Fairclough Greenhalgh Haworth "
        "Isherwood Kershaw"
    ),
    "european": (
        "Nowak Kowalski Wiśniewski Wójcik Rossi Russo Ferrari Martin Bernard Dubois Müller Schmidt Weber "
        "García Fernández López Popescu Ionescu Kazlauskas Horváth Novák Petrov Jensen Larsen van-Dijk "
        "Santos Silva Costa"
    ),
    "south_asian": (
        "Khan Ahmed Ali Hussain Begum Patel Singh Kaur Shah Malik Akhtar Mahmood Iqbal Rahman Chowdhury "
        "Sharma Kumar Gupta Desai Mistry Joshi Reddy Nair Chaudhry Butt Mirza Sheikh Uddin Miah Gill "
        "Sandhu Dhillon"
    ),
    "african": (
        "Mensah Owusu Boateng Okafor Adeyemi Okonkwo Balogun Abdi Mohamed Hassan Osman Campbell Brown "
        "Williams Clarke Gordon Francis Bailey Moyo Ncube Banda Kamara Sesay Diallo Eze Nwosu"
    ),
    "east_asian": (
        "Chan Wong Li Wang Zhang Chen Liu Lin Cheung Lau Nguyen Tran Pham Kim Park Lee Tanaka Sato Ho Ng"
    ),
}
ORIGINS: tuple[str, ...] = tuple(_MALE)
#: Share of each origin of names within each ancestry of genomes.
ORIGIN_OF: dict[str, tuple[float, ...]] = {
    "eur": (0.88, 0.12, 0.0, 0.0, 0.0),
    "sas": (0.03, 0.0, 0.97, 0.0, 0.0),
    "afr": (0.15, 0.02, 0.03, 0.80, 0.0),
    "eas": (0.10, 0.0, 0.0, 0.0, 0.90),
    "mix": (0.60, 0.05, 0.0, 0.35, 0.0),
    "given": (0.70, 0.10, 0.08, 0.08, 0.04),
}
_NICKNAMES = (
    "John:Jack,Johnny; David:Dave,Dai; Michael:Mike,Mick; James:Jim,Jamie; Robert:Bob,Rob; "
    "William:Bill,Will; Peter:Pete; Thomas:Tom,Tommy; Andrew:Andy,Drew; Stephen:Steve,Steven; "
    "Richard:Dick,Rick; Alan:Al,Allan; Christopher:Chris; Matthew:Matt; Daniel:Dan,Danny; Anthony:Tony; "
    "Kenneth:Ken; Raymond:Ray; Philip:Phil,Phillip; Samuel:Sam; Benjamin:Ben; Joseph:Joe; "
    "Edward:Ted,Ed; Charles:Charlie; Frederick:Fred; Ronald:Ron; Jonathan:Jon; Timothy:Tim; "
    "Nicholas:Nick; Joshua:Josh; Alexander:Alex; Patrick:Paddy,Pat; Sean:Shaun; Margaret:Peggy,Maggie; "
    "Mary:Marie; Susan:Sue; Elizabeth:Liz,Betty; Patricia:Pat,Trish; Christine:Chris; Barbara:Barb; "
    "Ann:Anne,Annie; Janet:Jan; Catherine:Kate,Katherine; Jennifer:Jenny,Jen; Alison:Ali; "
    "Deborah:Debbie,Debra; Jacqueline:Jackie; Sandra:Sandy; Gillian:Gill,Jill; Pamela:Pam; Dorothy:Dot; "
    "Judith:Judy; Nicola:Nicky; Victoria:Vicky; Rebecca:Becky; Jessica:Jess; Eleanor:Ellie; "
    "Abigail:Abi; Theresa:Teresa; Mohammed:Mohamed,Mohammad; Muhammad:Mohammed,Muhammed; Ahmed:Ahmad; "
    "Ayesha:Aisha; Yusuf:Yousef; Krzysztof:Kris; Katarzyna:Kasia; Małgorzata:Malgorzata,Gosia; "
    "Oluwaseun:Seun; Babatunde:Tunde; Rajesh:Raj"
)
#: Everyday forms of given names.
NICKNAMES: dict[str, tuple[str, ...]] = {
    name: tuple(forms.split(",")) for name, forms in (item.split(":") for item in _NICKNAMES.split("; "))
}


def _pool(lists: dict[str, str]) -> tuple[tuple[str, ...], dict[str, NDArray[np.int64]]]:
    texts: list[str] = []
    where: dict[str, NDArray[np.int64]] = {}
    for origin, words in lists.items():
        own = words.split()
        where[origin] = np.arange(len(texts), len(texts) + len(own))
        texts.extend(own)
    return tuple(texts), where


FAMILY, _FAMILY_AT = _pool(_FAMILY)
_MALE_TEXT, _MALE_AT = _pool(_MALE)
_FEMALE_TEXT, _FEMALE_AT = _pool(_FEMALE)
#: Male names first, then female.
GIVEN: tuple[str, ...] = _MALE_TEXT + _FEMALE_TEXT


def _ranked(pool: NDArray[np.int64], n: int, rng: np.random.Generator) -> NDArray[np.int64]:
    weight = 1.0 / (np.arange(len(pool)) + 6.0)
    picked: NDArray[np.int64] = rng.choice(pool, size=n, p=weight / weight.sum())
    return picked


def draw_origins(ancestry: list[str], codes: NDArray[np.int8], rng: np.random.Generator) -> NDArray[np.int8]:
    """Origin of names (position in `ORIGINS`) for people with ancestry `ancestry[codes]`."""
    cumulative = np.cumsum([ORIGIN_OF[name] for name in ancestry], axis=1)
    picked = (rng.random(len(codes))[:, None] > cumulative[codes]).sum(axis=1)
    origins: NDArray[np.int8] = np.minimum(picked, len(ORIGINS) - 1).astype(np.int8)
    return origins


def draw_given(
    origins: NDArray[np.int8], male: NDArray[np.bool_], rng: np.random.Generator
) -> NDArray[np.int16]:
    """Given names as positions in `GIVEN`."""
    out = np.zeros(len(origins), np.int16)
    for code, origin in enumerate(ORIGINS):
        for is_male, pool in ((True, _MALE_AT[origin]), (False, _FEMALE_AT[origin] + len(_MALE_TEXT))):
            who = np.flatnonzero((origins == code) & (male == is_male))
            out[who] = _ranked(pool, len(who), rng)
    return out


def draw_family(origins: NDArray[np.int8], rng: np.random.Generator) -> NDArray[np.int16]:
    """Family names as positions in `FAMILY`."""
    out = np.zeros(len(origins), np.int16)
    for code, origin in enumerate(ORIGINS):
        who = np.flatnonzero(origins == code)
        out[who] = _ranked(_FAMILY_AT[origin], len(who), rng)
    return out
