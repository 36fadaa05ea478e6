# The step `Judge` of action.yml: every table by every criterion, then the rules on each table's verdicts.
# Inputs come as environment variables, so that nothing in them is run as a command. Ends with the worst exit code:
# 2 could not run, 3 a rule failed, 4 nobody can tell, 0 all passed.
set -uo pipefail

lines() { # the lines of $1 that are not empty, without outer white space
  printf '%s\n' "$1" | sed -e 's/\r$//' -e 's/^[[:space:]]*//' -e 's/[[:space:]]*$//' -e '/^$/d'
}

mkdir -p "$FOLDER"
more=() rules=() options=()
while IFS= read -r line; do more+=("$line"); done < <(lines "$ARGUMENTS")
if [ "$(lines "$RULES" | wc -l)" -eq 1 ] && [ -f "$(lines "$RULES")" ]; then
  rules+=("$(lines "$RULES")")
else
  while IFS= read -r line; do rules+=(--rule "$line"); done < <(lines "$RULES")
fi
[ -n "$CANNOT_TELL" ] && options+=(--cannot-tell "$CANNOT_TELL")

worst=0
worse() { # 0 < 4 < 3 < all else
  case "$worst,$1" in
    *,0) ;;
    0,*) worst=$1 ;;
    4,*) worst=$1 ;;
    3,4) ;;
    3,*) worst=$1 ;;
  esac
}

number=0
while IFS= read -r file <&3; do
  number=$((number + 1))
  name="$FOLDER/$number-$(basename "$file")"
  verdicts="$name.verdicts.jsonl"
  while IFS= read -r criterion <&4; do
    mene judge "$file" -c "$criterion" -j "$JUDGE" -o "$verdicts" --show 0 ${more[@]+"${more[@]}"} </dev/null
    code=$?
    # 1: some rows have no verdict. How many may have none is for the rules to say.
    if [ "$code" -gt 1 ]; then
      worse "$code"
      continue 2
    fi
  done 4< <(lines "$CRITERIA")
  mene gate "$verdicts" "${rules[@]}" ${options[@]+"${options[@]}"} \
    --junit "$name.junit.xml" --markdown "$name.md" </dev/null
  worse $?
done 3< <(lines "$FILES")

if [ "$number" -eq 0 ]; then
  echo "mene: no table to judge: name one with the input files" >&2
  worse 2
fi
case "$worst" in 0) outcome=pass ;; 4) outcome="cannot tell" ;; *) outcome=fail ;; esac
{
  echo "outcome=$outcome"
  echo "folder=$FOLDER"
} >>"${GITHUB_OUTPUT:-/dev/null}"
exit "$worst"
