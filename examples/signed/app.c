#include <stdio.h>

int main(void) {
    puts("This is what was signed.");
    return 0;
}
