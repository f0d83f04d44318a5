"""Words that fill the slots of prompts: first names, places, and things that change hands.

A task keeps those that the model's tokenizer holds in one token.
"""

from __future__ import annotations


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


WOMEN = _words(
    """
    Alice Amy Andrea Angela Anna Anne Barbara Carol Caroline Catherine Christine Claire Diana
    Elizabeth Emily Emma Helen Jane Jennifer Jessica Joan Julia Julie Karen Kate Katie Kelly Laura
    Linda Lisa Lucy Margaret Maria Marie Martha Mary Melissa Michelle Nancy Nicole Olivia Pamela
    Rachel Rebecca Rose Ruth Sandra Sarah Sophie Susan Victoria
    """
)
MEN = _words(
    """
    Adam Alan Albert Alex Andrew Anthony Arthur Ben Brian Carl Charles Charlie Chris Daniel David
    Eric Frank Fred George Henry Jack James Jason Jeff Jim Joe John Jonathan Joseph Josh Justin
    Kevin Leon Luke Mark Martin Matthew Michael Nick Oliver Patrick Paul Peter Philip Richard
    Robert Ryan Sam Scott Simon Stephen Steve Thomas Tim Tom Tony Victor William
    """
)
NAMES = WOMEN + MEN
"""First names of both genders, about as many of each."""

PLACES = _words(
    """
    store school park library station market museum beach hotel restaurant garden office theater
    airport bank farm church hospital house university gym zoo
    """
)
"""Each is natural after `the` and after `at the`."""

OBJECTS = _words(
    """
    book ticket letter pen key map phone coat gift lamp watch ball cake drink plate hat radio camera
    guitar bag box toy rose coin card necklace ring basket newspaper picture
    """
)
"""Each is natural after `a`, and can be given, shown or handed over."""

EVENTS = _words(
    """
    alliance apprenticeship blockade boom boycott campaign captivity career colony conflict
    construction crisis crusade custom decline depression dispute drought dynasty embargo empire
    epidemic era excavation exile expansion expedition experiment famine festival feud friendship
    invasion investigation journey kingdom lease marriage migration monopoly movement
    negotiation occupation partnership pilgrimage plague program project quarantine
    rebellion reformation regency reign renaissance restoration revolt rivalry siege strike survey
    tradition treaty trial truce uprising voyage war
    """
)
"""What can last for years; each is natural after `The` and before `lasted`."""

VARIABLES = _words(
    """
    action address angle area array base batch block body buffer cache cell chain channel child
    client code color column command config content context count cursor data database date
    depth domain edge element email end error event factor field file filter flag folder font format
    frame function graph grid group handler hash header height host image index input item key label
    layer length level limit line link list map mask matrix max message method min mode model module
    name network node number object offset option order output page parent password path pattern
    pixel point port position prefix process query queue range rate record region request response
    result role root row rule sample scale score script seed server session shape signal size source
    stack start state status step stream string style symbol table tag target task template test
    text thread time title token total tree type unit url user value vector version view weight
    width window word
    """
)
"""Names of arguments and methods, as programmers give them."""

COMMON_WORDS = _words(
    """
    animal apple arm army art aunt autumn baby bank bar bear bed bell bird boat bone bottle boy
    branch bread breakfast bridge brother brown bus cabin camp candle capital captain castle cat
    chair cheese chicken church cloud coast coffee cotton country cow crowd cup dance danger
    daughter deer desert dinner doctor dog doll door dream dress dust eagle ear earth egg engine
    evening eye face farmer father feather fence finger fire fish floor flower foot forest friend
    fruit garden gate girl glass goat gold grain grass ground hair hall hand harbor heart heaven
    hill home honey horse hour house ice iron island jacket judge juice king kitchen knee knife
    lady lake lamb land law lawyer leaf leg lesson letter lion lip lunch machine market meal meat
    metal milk mirror money month moon morning mother mountain mouse mouth mud music nail neck
    needle neighbor nest night noise north nose nurse oak oil onion orange ocean oven paint palace
    paper party peace pencil pepper piano pig pilot pipe plane plant plate poem poet police pond
    potato powder price priest prince prison queen rabbit rain rice river road rock roof room rope
    sailor salt sand school sea season seat shadow sheep sheet shelf ship shirt shoe shop shore
    shoulder silk silver sister skin sky sleep smile smoke snow soap soil soldier song soup south
    spoon spring square stage star station steam steel stone storm story stranger street sugar suit
    summer sun supper tail tea teacher tear tent thief throat thunder ticket tiger toe tomato
    tongue tool tooth tower town train travel truck uncle valley village voice wall water wave
    weather west wheat wheel wind wine wing winter wire woman wood wool worker yard year
    """
)
"""Everyday nouns with nothing to do with one another."""

UNISEX = _words(
    """
    Alex Avery Blake Cameron Casey Charlie Chris Dana Drew Jamie Jesse Jordan Kelly Kim Lee Leslie
    Morgan Pat Quinn Riley Robin Sam Skyler Taylor Terry Tracy
    """
)
"""First names that women and men both have; a few of them stand in a list above too."""

BUILDINGS = _words(
    """
    airport bank bridge castle church factory garden hospital hotel house library market museum
    office palace park prison restaurant school station temple theater tower university village
    """
)
"""Each is natural after `the`, and can be built, visited, closed or repaired."""

TITLE_WORDS = _words(
    """
    Academic Action Active Advanced Agency Air American Animal Annual Applied Army Art Assembly
    Association Bank Basic Black Blue Board Book Branch British Bureau Business Capital Care Central
    Chamber Chief Child Church City Civil Coast College Common Community Company Council Court
    Culture Data Day Defense Department Design Digital Division Dutch Early Earth East Economic
    Education Electric Energy English Environmental Equal European Exchange Executive Family Federal
    Federation Field Film Fire First Food Force Foreign Forest Forum French Fund General German
    Global Gold Government Grand Great Green Group Guard Health Heart Heritage High History Home
    House Human Image Imperial Indian Industrial Information Institute Insurance International Iron
    Island Japanese Joint Journal Justice Key King Kingdom Knowledge Labor Lake Land Language Law
    League Legal Library Life Light Local Long Major Manager Marine Market Media Medical Memorial
    Mission Model Modern Music National Natural Nature Naval Network New North Nuclear Nursing
    Ocean Office Officer Official Oil Old Olympic Open Order Oxford Pacific Paper Park Party Peace
    People Planet Police Power Press Private Program Project Public Quality Quick Radio Rail Red
    Regional Registry Research Reserve River Road Royal Rural School Science Sea Security Senior
    Service Social Society Solar South Space Special Sports Standard State Steel Street Student
    Systems Tax Technical Technology Theatre Trade Training Transport Trust Union United Universal
    University Urban User Valley Veterans Video Village Virtual Vision Visual Voice Water West White
    Wild Women Word World Year Young Youth Zero Zone
    """
)
"""Words in the names of organisations and offices, over many initials."""

REGULAR_NOUNS = _words(
    """
    actor author bird boat book boy brother car cat chair clerk cousin customer dancer dog
    doctor door driver engineer farmer flower friend guard guest guitar horse judge key king
    lamp lawyer leader manager neighbor nurse officer painter parent pilot plant player prince
    queen singer sister soldier student table teacher tower tree truck uncle visitor window
    worker writer
    """
)
"""Each is natural after `the` and beside another of them, and takes an s in the plural."""

PLURAL_OF = {
    **{noun: f"{noun}s" for noun in REGULAR_NOUNS},
    "child": "children",
    "man": "men",
    "woman": "women",
}
"""Nouns and their plurals."""

ONE_FORM = _words("aircraft deer fish offspring salmon series sheep spacecraft species")
"""Nouns whose singular and plural look the same."""
