"""Words and marks that tell what a prompt is about. Lower case. Data only; `features.py` says how many must meet.

English, and the keywords that code and formulas share in every language. A trained predictor replaces this list where one is
configured; until then it is short enough to be read, and to be argued with.
"""


def _words(text: str) -> frozenset[bytes]:
    return frozenset(text.encode().split())


# One of these makes a prompt about code.
CODE_SURE_WORDS = _words(
    """
    codebase css decorator def django dockerfile frontend golang html javascript kotlin kubernetes mutex numpy pandas pytest
    pytorch recursive refactor regex repo sdk segfault sql stacktrace struct traceback typeerror typescript unittest yaml
    """
)
# Two of these do: alone, they are everyday words.
CODE_WORDS = _words(
    """
    algorithm api array backend bash boolean bug bugs class cli code coding compile compiler database debug docker endpoint
    exception function functions git http implement implementation import java json lambda library linux loop method methods
    null parser program programming python query react recursion repository return runtime rust schema script server shell
    snippet string swift thread variable
    """
)
# So does this, inline or as a fence.
CODE_MARK = b"`"

MATHS_WORDS = _words(
    """
    algebra asymptotic bayes calculus combinatorics cosine derivative derivatives determinant differentiate dx eigenvalue
    eigenvalues eigenvector equation equations factorial fibonacci frac gcd geometry hypotenuse inequality integers integral
    lemma logarithm mathematical mathematics maths matrix modulo permutations polynomial polynomials probability proof prove
    quadratic solve sqrt theorem triangle trigonometric variance
    """
)

# Two of these ask for more than one step of thought.
STEP_WORDS = _words(
    """
    analyse analysis analyze argue assess compare comparison consequences consider constraints contrast critique critically
    deduce derive design detailed diagnose evaluate explain hypothesis implications infer investigate justify optimal optimise
    optimize plan pros cons rationale reason reasoning step steps strategy synthesize thorough thoroughly tradeoff tradeoffs
    versus weigh why
    """
)
# So does this, met in the text with its punctuation turned to spaces.
STEP_MARK = b"step by step"

QUESTION_WORDS = _words("what who whom whose when where which why how")
