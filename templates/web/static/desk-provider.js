// Back from the identity provider: presses the button that is there for everybody without scripts.
"use strict";

document.querySelector("form[data-go]").submit();
