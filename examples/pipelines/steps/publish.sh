# Writes a page in Markdown. PUBLISH_TOKEN would open the place that it goes to.
set -eu
previous=
while [ $# -gt 0 ]; do
  case $1 in
    --report=*) report=${1#*=} ;;
    --previous) previous=$2; shift ;;
    --title=*) title=${1#*=} ;;
    --rows=*) rows=${1#*=} ;;
    --page=*) page=${1#*=} ;;
    --lines=*) lines=${1#*=} ;;
    *) echo "there is no option $1" >&2; exit 2 ;;
  esac
  shift
done
if [ -z "${PUBLISH_TOKEN:-}" ]; then
  echo "PUBLISH_TOKEN is empty: set the secret publisher" >&2
  exit 2
fi
{
  printf '# %s\n\n%s rows were scored.\n\n```json\n' "$title" "$rows"
  cat "$report"
  printf '```\n'
  if [ -n "$previous" ]; then printf '\n---\n'; cat "$previous"; fi
} > "$page"
wc -l < "$page" | tr -d ' ' > "$lines"
