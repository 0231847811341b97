"""List the properties of a simulated cell, and what each mechanism of action does to them.

A cell is described by about thirty numbers. DMSO gives their usual values and spread; a mechanism moves some of
them. The effects caricature what is known of the mechanisms (Caie et al. 2010; Ljosa et al. 2013). Explained in
chapter 1, the screen.
"""

# name: (DMSO value, spread between cells). Spreads of these are relative; effects below multiply.
SIZES = {
    "nucleus_radius": (18.2, 0.07),  # px
    "dna": (238.0, 0.12),  # camera counts above background, of a nucleus of ordinary size
    "chromatin": (0.13, 0.25),  # contrast of the texture in the nucleus
    "cell_radius": (42.0, 0.16),  # px
    "tubulin": (262.0, 0.18),  # camera counts
    "actin": (300.0, 0.10),  # camera counts
}
STAINED = ("dna", "tubulin", "actin")
GROWN = ("nucleus_radius", "cell_radius")
GROWTH_SPREAD = 0.07  # of a factor that they share: a cell before its division is larger in all
STAIN_SPREAD = 0.28  # of a factor that a cell's stains share; with the rest, spreads and correlations as measured
# name: (DMSO value, spread between cells). Spreads and effects of these are added; nothing falls below 0.
TRAITS = {
    "nucleus_elongation": (0.30, 0.14),
    "lobes": (0.03, 0.025),  # bulges and clefts of the nuclear outline
    "nucleoli": (0.22, 0.10),  # depth of the dark holes
    "elongation": (0.45, 0.25),  # of the cell
    "spikes": (0.38, 0.14),  # pointed corners of a spread cell
    "fibres": (0.60, 0.10),  # share of tubulin that sits in microtubules
    "radial": (0.40, 0.20),  # microtubules leave the nucleus (1) or wrap around it (0)
    "bundles": (0.03, 0.03),  # thick bundles of microtubules
    "perinuclear": (0.70, 0.18),  # tubulin gathers around the nucleus
    "vacuoles": (0.04, 0.05),  # honeycomb of dark holes in the cytoplasm
    "cortex": (0.30, 0.15),  # actin at the free edge
    "junctions": (0.25, 0.12),  # actin between touching cells
    "stress_fibres": (0.35, 0.15),
    "speckles": (0.10, 0.08),  # aggregated actin
    "aggresome": (0.02, 0.03),  # a bright heap beside the nucleus
    "rounding": (0.03, 0.04),  # 0 spread out, 1 a ball
}
# name: DMSO value. Shares of the population, decided cell by cell.
SHARES = {
    "mitotic": 0.05,  # in division, or arrested there
    "monopolar": 0.0,  # of the mitotic ones: chromosomes in a rosette around one pole
    "scattered": 0.02,  # of the mitotic ones: chromosomes in disorder
    "fragmented": 0.01,  # nucleus in several pieces
    "binucleate": 0.03,
    "rounded": 0.05,  # loosely attached: contracted, thick and bright
    "dead": 0.012,  # small, condensed, very bright
}
POPULATION = {"density": 1.0, "islands": 0.6}  # cells per area relative to DMSO; how much cells stick together

# What a cell that responds in full looks like: factors for SIZES and density, additions for everything else.
MECHANISMS = {
    "Actin disruptors": dict(
        actin=1.1,
        cell_radius=0.85,
        tubulin=1.2,
        cortex=-0.3,
        stress_fibres=-0.35,
        speckles=0.9,
        spikes=0.15,
        rounding=0.1,
        rounded=0.3,
        binucleate=0.3,
        lobes=0.06,
        density=0.7,
    ),
    "Aurora kinase inhibitors": dict(
        nucleus_radius=1.42,
        dna=1.15,
        lobes=0.15,
        fragmented=0.1,
        binucleate=0.1,
        cell_radius=1.3,
        tubulin=0.95,
        fibres=0.1,
        actin=0.8,
        mitotic=-0.05,
        nucleoli=0.1,
        density=0.65,
    ),
    "Cholesterol-lowering": dict(
        elongation=0.8,
        cell_radius=0.8,
        spikes=0.35,
        nucleus_radius=0.88,
        tubulin=1.05,
        stress_fibres=-0.2,
        cortex=0.15,
        rounded=0.2,
        perinuclear=0.2,
        dead=0.02,
        density=0.75,
    ),
    "DNA damage": dict(
        nucleus_radius=1.25,
        chromatin=0.75,
        cell_radius=1.25,
        mitotic=-0.04,
        nucleoli=0.1,
        stress_fibres=0.1,
        actin=0.92,
        density=0.65,
    ),
    "DNA replication": dict(
        nucleus_radius=1.15,
        chromatin=0.65,
        nucleoli=0.25,
        cell_radius=1.1,
        mitotic=-0.045,
        tubulin=0.92,
        dna=0.9,
        nucleus_elongation=-0.08,
        density=0.68,
    ),
    "Eg5 inhibitors": dict(
        mitotic=0.5, monopolar=1.0, fragmented=0.08, rounded=0.12, actin=1.15, dead=0.03, density=0.68
    ),
    "Epithelial": dict(
        islands=0.35,
        cell_radius=0.88,
        junctions=0.6,
        cortex=0.2,
        elongation=-0.15,
        spikes=-0.2,
        stress_fibres=-0.25,
        nucleus_radius=0.88,
        nucleus_elongation=0.15,
        chromatin=1.25,
        density=1.2,
    ),
    "Kinase inhibitors": dict(
        cell_radius=1.08,
        stress_fibres=-0.15,
        elongation=0.12,
        tubulin=0.92,
        junctions=-0.12,
        nucleus_elongation=0.08,
        cortex=-0.1,
        density=0.85,
    ),
    "Microtubule destabilizers": dict(
        fibres=-0.5,
        vacuoles=0.5,
        perinuclear=-0.2,
        tubulin=0.9,
        fragmented=0.32,
        mitotic=0.15,
        scattered=0.8,
        elongation=-0.15,
        actin=1.12,
        stress_fibres=0.2,
        rounded=0.15,
        density=0.65,
    ),
    "Microtubule stabilizers": dict(
        bundles=0.9,
        tubulin=1.75,
        fibres=0.15,
        radial=-0.2,
        fragmented=0.4,
        mitotic=0.18,
        scattered=0.8,
        speckles=0.1,
        rounded=0.1,
        density=0.65,
    ),
    "Protein degradation": dict(
        aggresome=0.8,
        perinuclear=0.35,
        nucleus_radius=0.9,
        lobes=0.08,
        cell_radius=0.82,
        elongation=0.12,
        rounded=0.2,
        actin=1.1,
        tubulin=1.05,
        dead=0.05,
        density=0.7,
    ),
    "Protein synthesis": dict(
        nucleoli=-0.22,
        chromatin=0.75,
        tubulin=0.85,
        actin=0.92,
        cell_radius=0.92,
        nucleus_radius=0.92,
        nucleus_elongation=-0.14,
        fibres=-0.15,
        mitotic=-0.04,
        perinuclear=0.1,
        density=0.7,
    ),
}
# How much a compound of deviation 1 may change a property that its mechanism leaves alone.
STRAY = dict.fromkeys(SIZES, 0.25) | dict.fromkeys(STAINED, 0.5)
STRAY |= dict.fromkeys(TRAITS, 0.30) | dict.fromkeys(SHARES, 0.12)
